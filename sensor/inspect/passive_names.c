#include "sensor/inspect/passive_names.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/attributes.h"

#define NAME_BYTES_EACH UINT64_C(48) /* of the room for names; most are shorter */
#define BUCKETS_EACH    4  /* of an answer: few chains lead past another's, in cold memory */
#define STEPS_MAX       32 /* entries of one chain looked at */
#define NS_PER_SECOND   UINT64_C(1000000000)
#define NONE            UINT32_MAX
#define LINE_BYTES      64

enum chain { CHAIN_CLIENT, CHAIN_ADDRESS, CHAIN_COUNT };

struct link {
    uint32_t older, newer; /* entries of the same chain; NONE at its ends */
};

/* One line of memory: a walk along a chain waits for each. */
struct entry {
    uint64_t first_ns, until_ns;
    uint64_t name_at; /* in the ring of name bytes, never wrapping inside a name */
    struct link links[CHAIN_COUNT];
    uint32_t client_mark; /* mark_of() the client */
    struct ip_address address;
    uint8_t source, name_length;
};
static_assert(sizeof(struct entry) == LINE_BYTES, "one line");

struct passive_names {
    struct passive_names_settings settings;
    struct passive_names_statistics statistics;
    struct ip_address *clients; /* of the entries */
    struct entry *entries; /* a ring: `next` is where the next goes, the oldest stands behind it */
    uint32_t next;
    uint32_t *heads[CHAIN_COUNT]; /* newest entry of each bucket */
    uint32_t bucket_mask;
    char *bytes; /* a ring of names */
    uint64_t bytes_max, bytes_head, bytes_used;
};

struct passive_names *passive_names_new(const struct passive_names_settings *settings,
                                        struct error *err)
{
    struct passive_names *names = calloc(1, sizeof(*names));
    const uint32_t count = settings->answers_max;
    uint32_t buckets = 16;

    while (buckets < BUCKETS_EACH * count) {
        buckets <<= 1;
    }
    if (names != NULL) {
        names->settings = *settings;
        names->bytes_max = count * NAME_BYTES_EACH + PASSIVE_NAME_BYTES_MAX;
        names->bucket_mask = buckets - 1;
        names->entries = aligned_alloc(LINE_BYTES, count * sizeof(struct entry));
        names->clients = malloc(count * sizeof(struct ip_address));
        names->bytes = malloc(names->bytes_max);
        for (unsigned i = 0; i < CHAIN_COUNT; i++) {
            names->heads[i] = malloc(buckets * sizeof(uint32_t));
        }
    }
    if (names == NULL || names->entries == NULL || names->clients == NULL || names->bytes == NULL ||
        names->heads[0] == NULL || names->heads[1] == NULL) {
        error_set(err, ENOMEM, "names: no memory for %" PRIu32 " answers (names.max)", count);
        passive_names_free(names);
        return NULL;
    }
    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        memset(names->heads[i], 0xff, buckets * sizeof(uint32_t)); /* NONE */
    }
    memset(names->entries, 0, count * sizeof(struct entry)); /* touched now */
    memset(names->clients, 0, count * sizeof(struct ip_address));
    memset(names->bytes, 0, names->bytes_max);
    names->statistics.answers_max = count;
    names->statistics.memory_bytes =
        sizeof(*names) + count * (sizeof(struct entry) + sizeof(struct ip_address)) +
        names->bytes_max + (uint64_t)CHAIN_COUNT * buckets * sizeof(uint32_t);
    return names;
}

void passive_names_free(struct passive_names *names)
{
    if (names == NULL) {
        return;
    }
    free(names->entries);
    free(names->clients);
    free(names->bytes);
    free(names->heads[0]);
    free(names->heads[1]);
    free(names);
}

bool passive_name_is_host(const char *name, size_t length)
{
    if (length == 0 || length > PASSIVE_NAME_BYTES_MAX || (length == 1 && name[0] == '.')) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!ascii_is_host((uint8_t)name[i])) {
            return false;
        }
    }
    return true;
}

/* ---- chains ---- */

/* Folds an address into `state`, by a key that traffic does not know. */
static inline uint64_t hash_address(uint64_t state, const struct ip_address *address,
                                    struct hash_key key)
{
    uint64_t words[2];

    memcpy(words, address->bytes, sizeof(words));
    return hash_fold(words[0] ^ key.a ^ state, words[1] ^ key.b ^ address->version);
}

/* Tells most entries of other clients apart without their lines in `clients`. */
static inline uint32_t mark_of(const struct passive_names *names, const struct ip_address *client)
{
    return (uint32_t)hash_address(0, client, names->settings.key);
}

static inline bool is_of(const struct passive_names *names, uint32_t at, uint32_t mark,
                         const struct ip_address *client)
{
    return names->entries[at].client_mark == mark && address_equal(&names->clients[at], client);
}

static uint32_t *head_of(const struct passive_names *names, enum chain chain,
                         const struct ip_address *address, const struct ip_address *client)
{
    const struct hash_key key = names->settings.key;
    uint64_t hash = hash_address(0, address, key);

    if (chain == CHAIN_CLIENT) {
        hash = hash_address(hash, client, key);
    }
    return &names->heads[chain][hash_fold(hash ^ key.b, UINT64_C(0x9e3779b97f4a7c15) ^ key.a) &
                                names->bucket_mask];
}

static void unlink_entry(struct passive_names *names, uint32_t at)
{
    struct entry *entry = &names->entries[at];

    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        const struct link link = entry->links[i];

        if (link.older != NONE) {
            names->entries[link.older].links[i].newer = link.newer;
        }
        if (link.newer != NONE) {
            names->entries[link.newer].links[i].older = link.older;
        } else {
            *head_of(names, (enum chain)i, &entry->address, &names->clients[at]) = link.older;
        }
    }
}

/* In order of time: what came late finds its place behind the newer ones. */
static void link_entry(struct passive_names *names, uint32_t at)
{
    struct entry *entry = &names->entries[at];

    for (unsigned i = 0; i < CHAIN_COUNT; i++) {
        uint32_t *head = head_of(names, (enum chain)i, &entry->address, &names->clients[at]);
        uint32_t older = *head;
        uint32_t newer = NONE;

        for (unsigned step = 0;
             step < STEPS_MAX && older != NONE && names->entries[older].first_ns > entry->first_ns;
             step++) {
            newer = older;
            older = names->entries[older].links[i].older;
        }
        entry->links[i] = (struct link){.older = older, .newer = newer};
        if (older != NONE) {
            names->entries[older].links[i].newer = at;
        }
        if (newer != NONE) {
            names->entries[newer].links[i].older = at;
        } else {
            *head = at;
        }
    }
}

/* ---- adding ---- */

static void drop_oldest(struct passive_names *names)
{
    const uint32_t oldest =
        (names->next + names->settings.answers_max - names->statistics.answers_used) %
        names->settings.answers_max;

    unlink_entry(names, oldest);
    names->statistics.answers_used--;
    names->statistics.replaced++;
    /* Names stand in the order of their entries: the room begins at the oldest one left. */
    if (names->statistics.answers_used == 0) {
        names->bytes_used = names->bytes_head = 0;
    } else {
        const uint32_t left = (oldest + 1) % names->settings.answers_max;
        const uint64_t begin = names->entries[left].name_at;

        names->bytes_used = names->bytes_head > begin
                                ? names->bytes_head - begin
                                : names->bytes_max - begin + names->bytes_head;
    }
}

/* Room for one more name; the oldest entries go until there is. */
static uint64_t take_bytes(struct passive_names *names, uint32_t length)
{
    for (;;) {
        const uint64_t free_bytes = names->bytes_max - names->bytes_used;
        const uint64_t to_end = names->bytes_max - names->bytes_head;
        const uint64_t skipped = to_end < length ? to_end : 0; /* a name stands in one piece */

        if (free_bytes >= skipped + length) {
            const uint64_t at = to_end < length ? 0 : names->bytes_head;

            names->bytes_head = at + length;
            names->bytes_used += skipped + length;
            return at;
        }
        drop_oldest(names);
    }
}

static uint64_t lifetime(const struct passive_names *names, uint32_t ttl_seconds)
{
    uint64_t ns = ttl_seconds * NS_PER_SECOND;

    if (ns > names->settings.ttl_max_ns) {
        ns = names->settings.ttl_max_ns;
    }
    return ns < names->settings.ttl_min_ns ? names->settings.ttl_min_ns : ns;
}

/* The newest answer of the same kind to the same client about the same address. */
static struct entry *newest(struct passive_names *names, const struct passive_name *name)
{
    const uint32_t mark = mark_of(names, &name->client);
    uint32_t at = *head_of(names, CHAIN_CLIENT, &name->address, &name->client);

    for (unsigned step = 0; step < STEPS_MAX && at != NONE; step++) {
        struct entry *entry = &names->entries[at];

        if (entry->source == name->source && address_equal(&entry->address, &name->address) &&
            is_of(names, at, mark, &name->client)) {
            return entry;
        }
        at = entry->links[CHAIN_CLIENT].older;
    }
    return NULL;
}

void passive_names_add(struct passive_names *names, const struct passive_name *name)
{
    if (name->address.version == 0 || !passive_name_is_host(name->name, name->name_length)) {
        names->statistics.refused++;
        return;
    }
    const uint64_t until_ns = name->time_ns + lifetime(names, name->ttl_seconds);
    struct entry *known = newest(names, name);

    if (known != NULL && known->name_length == name->name_length &&
        memcmp(names->bytes + known->name_at, name->name, name->name_length) == 0 &&
        name->time_ns >= known->first_ns && name->time_ns <= known->until_ns) {
        known->until_ns = until_ns > known->until_ns ? until_ns : known->until_ns;
        names->statistics.extended++;
        return;
    }
    if (names->statistics.answers_used == names->settings.answers_max) {
        drop_oldest(names);
    }
    const uint64_t name_at = take_bytes(names, name->name_length);
    const uint32_t at = names->next;

    memcpy(names->bytes + name_at, name->name, name->name_length);
    names->clients[at] = name->client;
    names->entries[at] = (struct entry){.address = name->address,
                                        .client_mark = mark_of(names, &name->client),
                                        .source = name->source,
                                        .name_length = (uint8_t)name->name_length,
                                        .first_ns = name->time_ns,
                                        .until_ns = until_ns,
                                        .name_at = name_at};
    link_entry(names, at);
    names->next = (at + 1) % names->settings.answers_max;
    names->statistics.answers_used++;
    names->statistics.added++;
}

/* ---- finding ---- */

static bool holds(const struct entry *entry, const struct ip_address *address, uint64_t time_ns)
{
    return entry->first_ns <= time_ns && time_ns <= entry->until_ns &&
           address_equal(&entry->address, address);
}

/* What the newest answers about an address say. */
struct answers {
    const struct entry *own, *any, *reverse;
    bool are_all; /* there were no more than were looked at */
};

static struct answers answers_about(const struct passive_names *names, uint32_t at,
                                    const struct ip_address *address,
                                    const struct ip_address *client, uint64_t time_ns)
{
    const uint32_t mark = mark_of(names, client);
    struct answers found = {0};

    for (unsigned step = 0; step < STEPS_MAX && at != NONE && found.own == NULL; step++) {
        const struct entry *entry = &names->entries[at];

        if (holds(entry, address, time_ns)) {
            if (entry->source == NAME_DNS_ANSWER) {
                found.own = is_of(names, at, mark, client) ? entry : NULL;
                found.any = found.any != NULL ? found.any : entry;
            } else if (entry->source == NAME_REVERSE_DNS && found.reverse == NULL) {
                found.reverse = entry;
            }
        }
        at = entry->links[CHAIN_ADDRESS].older;
    }
    found.are_all = at == NONE;
    return found;
}

/* The client's own newest answer, of an address that many asked for. */
static const struct entry *own_answer(const struct passive_names *names,
                                      const struct ip_address *address,
                                      const struct ip_address *client, uint64_t time_ns)
{
    const uint32_t mark = mark_of(names, client);
    uint32_t at = *head_of(names, CHAIN_CLIENT, address, client);

    for (unsigned step = 0; step < STEPS_MAX && at != NONE; step++) {
        const struct entry *entry = &names->entries[at];

        if (holds(entry, address, time_ns) && entry->source == NAME_DNS_ANSWER &&
            is_of(names, at, mark, client)) {
            return entry;
        }
        at = entry->links[CHAIN_CLIENT].older;
    }
    return NULL;
}

void passive_names_prefetch(const struct passive_names *names, const struct ip_address *address)
{
    if (names->statistics.answers_used > 0) {
        __builtin_prefetch(head_of(names, CHAIN_ADDRESS, address, address));
    }
}

/* In place: a function that only asks ahead is left out by the compiler. */
static ALWAYS_INLINE void prefetch_newest(const struct passive_names *names, uint32_t newest)
{
    if (newest != NONE) {
        __builtin_prefetch(&names->entries[newest]);
    }
}

void passive_names_prefetch_answer(const struct passive_names *names,
                                   const struct ip_address *address)
{
    if (names->statistics.answers_used > 0) {
        prefetch_newest(names, *head_of(names, CHAIN_ADDRESS, address, address));
    }
}

void passive_names_prefetch_add(const struct passive_names *names, const struct passive_name *name)
{
    __builtin_prefetch(head_of(names, CHAIN_ADDRESS, &name->address, &name->client), 1);
    __builtin_prefetch(head_of(names, CHAIN_CLIENT, &name->address, &name->client), 1);
}

void passive_names_prefetch_known(const struct passive_names *names,
                                  const struct passive_name *name)
{
    prefetch_newest(names, *head_of(names, CHAIN_ADDRESS, &name->address, &name->client));
    prefetch_newest(names, *head_of(names, CHAIN_CLIENT, &name->address, &name->client));
}

struct record_text passive_names_find(const struct passive_names *names,
                                      const struct ip_address *address,
                                      const struct ip_address *client, uint64_t time_ns,
                                      uint8_t *source)
{
    const struct entry *entry = NULL;
    /* Each answer is in both kinds of chains: most addresses have never been in one. */
    const uint32_t newest =
        names->statistics.answers_used > 0 ? *head_of(names, CHAIN_ADDRESS, address, client) : NONE;

    if (newest != NONE) {
        const struct answers found = answers_about(names, newest, address, client, time_ns);

        entry = found.own;
        if (entry == NULL && !found.are_all) {
            entry = own_answer(names, address, client, time_ns);
        }
        if (entry == NULL) {
            entry = found.any != NULL ? found.any : found.reverse;
        }
    }
    if (entry == NULL) {
        *source = NAME_NONE;
        return (struct record_text){.data = NULL, .length = 0};
    }
    *source = entry->source;
    return (struct record_text){.data = names->bytes + entry->name_at,
                                .length = entry->name_length};
}

struct passive_names_statistics passive_names_statistics(const struct passive_names *names)
{
    return names->statistics;
}
