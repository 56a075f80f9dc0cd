#include "base/service/role.h"

#include <string.h>

const struct role roles[ROLE_COUNT] = {
    {"viewer", RIGHT_FLOWS},
    {"operator", RIGHT_FLOWS | RIGHT_TRIAGE | RIGHT_PACKETS},
    {"admin", RIGHT_ALL},
};

static const struct {
    const char *name;
    unsigned right;
} rights[] = {{"flows", RIGHT_FLOWS},
              {"packets", RIGHT_PACKETS},
              {"triage", RIGHT_TRIAGE},
              {"config", RIGHT_CONFIG}};

const struct role *role_find(const char *name)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        if (strcmp(roles[i].name, name) == 0) {
            return &roles[i];
        }
    }
    return NULL;
}

const struct role *role_with(unsigned right)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        if ((roles[i].rights & right) == right) {
            return &roles[i];
        }
    }
    return NULL;
}

const struct role *role_of(unsigned all)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        if (roles[i].rights == all) {
            return &roles[i];
        }
    }
    return NULL;
}

unsigned right_at(unsigned n)
{
    return n < ARRAY_COUNT(rights) ? rights[n].right : 0;
}

const char *right_name(unsigned right)
{
    for (unsigned i = 0; i < ARRAY_COUNT(rights); i++) {
        if (rights[i].right == right) {
            return rights[i].name;
        }
    }
    return "none";
}

static unsigned read_word(const char *word)
{
    const struct role *role = role_find(word);

    if (role != NULL) {
        return role->rights;
    }
    for (unsigned i = 0; i < ARRAY_COUNT(rights); i++) {
        if (strcmp(rights[i].name, word) == 0) {
            return rights[i].right;
        }
    }
    return strcmp(word, "all") == 0 ? RIGHT_ALL : 0;
}

unsigned rights_read(char *words)
{
    unsigned all = 0;
    char *rest = NULL;

    for (const char *word = strtok_r(words, ",", &rest); word != NULL;
         word = strtok_r(NULL, ",", &rest)) {
        const unsigned one = read_word(word);

        if (one == 0) {
            return 0;
        }
        all |= one;
    }
    return all;
}
