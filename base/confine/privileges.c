#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/confine/confine.h"

#define CAPABILITY_NAME_BYTES 48

static int find_user(const char *text, struct passwd *out, struct error *err)
{
    char *end;
    errno = 0;
    const unsigned long number = strtoul(text, &end, 10);

    if (*end == '\0' && text[0] >= '0' && text[0] <= '9' && errno == 0 && number < UINT32_MAX) {
        const struct passwd *known = getpwuid((uid_t)number);

        out->pw_uid = (uid_t)number;
        out->pw_gid = known != NULL ? known->pw_gid : (gid_t)number;
        return 0;
    }
    const struct passwd *known = getpwnam(text);
    if (known == NULL) {
        return error_set(err, EINVAL, "user '%s' does not exist on this machine", text);
    }
    out->pw_uid = known->pw_uid;
    out->pw_gid = known->pw_gid;
    return 0;
}

/* Capabilities stay over the change (PR_SET_KEEPCAPS): the next step drops them one by one. */
static int become(const char *text, struct error *err)
{
    struct passwd user = {0};

    if (find_user(text, &user, err) != 0) {
        return -err->code;
    }
    if (user.pw_uid == geteuid() && user.pw_uid == getuid()) {
        return 0;
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 ||
        setresgid(user.pw_gid, user.pw_gid, user.pw_gid) != 0 ||
        setresuid(user.pw_uid, user.pw_uid, user.pw_uid) != 0) {
        return error_set(err, errno,
                         "become user '%s': %s (start as root, or leave security.user empty)", text,
                         strerror(errno));
    }
    return 0;
}

static int capability_of(const char *name, cap_value_t *out, struct error *err)
{
    char full[CAPABILITY_NAME_BYTES];
    const int length = snprintf(full, sizeof(full), "cap_%s", name);

    if (length <= 0 || (size_t)length >= sizeof(full) || cap_from_name(full, out) != 0) {
        return error_set(err, EINVAL,
                         "'%s' is no capability; write it as in capabilities(7) "
                         "without CAP_, such as net_raw",
                         name);
    }
    return 0;
}

/* Adds capability `name` to `kept` when it is permitted now. */
static int keep(cap_t now, cap_t kept, const char *name, struct error *err)
{
    cap_value_t value = 0;
    cap_flag_value_t is_permitted = CAP_CLEAR;

    if (capability_of(name, &value, err) != 0) {
        return -err->code;
    }
    (void)cap_get_flag(now, value, CAP_PERMITTED, &is_permitted);
    if (is_permitted == CAP_SET) {
        (void)cap_set_flag(kept, CAP_PERMITTED, 1, &value, CAP_SET);
        (void)cap_set_flag(kept, CAP_EFFECTIVE, 1, &value, CAP_SET);
    }
    return 0;
}

/* Fills `kept` with what is wanted and permitted now. */
static int choose(const struct confine_privileges *settings, cap_t kept, struct error *err)
{
    cap_t now = cap_get_proc();
    const uint32_t more = settings->keep_too != NULL ? settings->keep_too->count : 0;
    int result = 0;

    if (now == NULL) {
        return error_set(err, errno, "read capabilities: %s", strerror(errno));
    }
    for (uint32_t i = 0; result == 0 && i < settings->keep_count; i++) {
        result = settings->keep[i] != NULL ? keep(now, kept, settings->keep[i], err) : 0;
    }
    for (uint32_t i = 0; result == 0 && i < more; i++) {
        result = keep(now, kept, settings->keep_too->items[i], err);
    }
    (void)cap_free(now);
    return result;
}

/* Needs CAP_SETPCAP, which an ordinary user has not: no_new_privs then keeps the bounding set
 * without effect, since no program can be run that would gain from it. */
static void drop_bounding_set(cap_t kept)
{
    for (cap_value_t value = 0; value <= cap_max_bits() - 1; value++) {
        cap_flag_value_t is_kept = CAP_CLEAR;

        (void)cap_get_flag(kept, value, CAP_PERMITTED, &is_kept);
        if (is_kept == CAP_CLEAR) {
            (void)cap_drop_bound(value);
        }
    }
}

int confine_privileges(const struct confine_privileges *settings, struct error *err)
{
    cap_t kept = cap_init();
    int result = kept != NULL ? choose(settings, kept, err) : error_set(err, ENOMEM, "no memory");

    if (result == 0) {
        drop_bounding_set(kept); /* while CAP_SETPCAP is in effect: the change of user ends that */
    }
    if (result == 0 && settings->user != NULL && settings->user[0] != '\0') {
        result = become(settings->user, err);
    }
    if (result == 0) {
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        if (cap_set_proc(kept) != 0) {
            result = error_set(err, errno, "drop capabilities: %s", strerror(errno));
        } else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
            result = error_set(err, errno, "set no_new_privs: %s", strerror(errno));
        }
    }
    if (kept != NULL) {
        (void)cap_free(kept);
    }
    return result;
}

void confine_state_read(struct confine_state *out)
{
    cap_t now = cap_get_proc();

    *out =
        (struct confine_state){.user = (uint32_t)geteuid(),
                               .has_no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
                               .has_filter = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2};
    for (cap_value_t value = 0; now != NULL && value < cap_max_bits() && value < 64; value++) {
        cap_flag_value_t is_set = CAP_CLEAR;

        (void)cap_get_flag(now, value, CAP_EFFECTIVE, &is_set);
        if (is_set == CAP_SET) {
            out->capabilities |= UINT64_C(1) << value;
        }
    }
    if (now != NULL) {
        (void)cap_free(now);
    }
}

const char *confine_capabilities_text(uint64_t capabilities, char *out, uint32_t out_bytes)
{
    uint32_t used = 0;

    (void)snprintf(out, out_bytes, "none");
    for (cap_value_t value = 0; value < 64; value++) {
        char *name = (capabilities >> value & 1) != 0 ? cap_to_name(value) : NULL;

        if (name == NULL) {
            continue;
        }
        const int length = snprintf(out + used, out_bytes - used, "%s%s", used > 0 ? "," : "",
                                    strncmp(name, "cap_", 4) == 0 ? name + 4 : name);
        (void)cap_free(name);
        if (length <= 0 || (uint32_t)length >= out_bytes - used) {
            break; /* cut: the text is for people */
        }
        used += (uint32_t)length;
    }
    return out;
}
