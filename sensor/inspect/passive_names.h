/* Names of addresses as DNS answers told them: a bounded cache that remembers when each answer
 * held.
 *
 * One entry is one answer: who asked, the address, the name as asked, from when to when. The same
 * answer again makes an entry last longer; a name that another has replaced begins a new one. So a
 * question about a flow's start gives the same answer however late it is put. All memory is taken
 * in passive_names_new(); when full, the oldest entry goes and is counted. Whoever adds in order of
 * time gets a result that depends on the answers alone. Depends on: base, proto/record.h. Threads:
 * one object, one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/record_flow.h"

#define PASSIVE_NAME_BYTES_MAX 255 /* RFC 1035 section 2.3.4 */

struct passive_names_settings {
    uint32_t answers_max; /* held at once */
    uint64_t ttl_min_ns;  /* an answer holds for at least so long */
    uint64_t ttl_max_ns;  /* and at most so long; ttl_min_ns where that is larger */
    struct hash_key key;  /* traffic must not choose its bucket */
};

struct passive_name {
    uint64_t time_ns; /* when the answer was seen, packet time */
    uint32_t ttl_seconds;
    uint8_t source;            /* enum name_source: NAME_DNS_ANSWER, NAME_REVERSE_DNS */
    struct ip_address client;  /* who asked; version 0: everybody (mDNS, LLMNR) */
    struct ip_address address; /* what the name stands for */
    uint16_t name_length;      /* 1..PASSIVE_NAME_BYTES_MAX */
    char name[PASSIVE_NAME_BYTES_MAX];
};

struct passive_names;

/* NULL with `err`: ENOMEM. answers_max must not be 0. */
MUST_USE struct passive_names *passive_names_new(const struct passive_names_settings *settings,
                                                 struct error *err);
void passive_names_free(struct passive_names *names); /* NULL is allowed */
DEFINE_AUTO(passive_names, passive_names_free);

/* True for what may stand as an endpoint's name: letters, digits, '-', '_' and '.', 1 to 255 bytes.
 */
bool passive_name_is_host(const char *name, size_t length);

/* A name that is no host name, and an address of version 0, are refused and counted. O(1). */
void passive_names_add(struct passive_names *names, const struct passive_name *name);

/* Has the memory that passive_names_find will look at first brought near. */
void passive_names_prefetch(const struct passive_names *names, const struct ip_address *address);
/* Likewise, once that is there: what it leads to. */
void passive_names_prefetch_answer(const struct passive_names *names,
                                   const struct ip_address *address);

/* The same, of two steps, for passive_names_add. */
void passive_names_prefetch_add(const struct passive_names *names, const struct passive_name *name);
void passive_names_prefetch_known(const struct passive_names *names,
                                  const struct passive_name *name);

/* The name of `address` at `time_ns` as `client` knew it: of its own last answer that held then,
 * else of the last answer to anybody; a reverse name only where there is no other. Empty with
 * NAME_NONE when there is none. Borrowed until the next passive_names_add. O(1): of an address with
 * more answers than 32 the latest count. */
struct record_text passive_names_find(const struct passive_names *names,
                                      const struct ip_address *address,
                                      const struct ip_address *client, uint64_t time_ns,
                                      uint8_t *source);

struct passive_names_statistics {
    uint32_t answers_used, answers_max;
    uint64_t added, extended; /* new entries; answers that made one last longer */
    uint64_t replaced;        /* the oldest made room: by number, or by the bytes of names */
    uint64_t refused;
    uint64_t memory_bytes;
};
struct passive_names_statistics passive_names_statistics(const struct passive_names *names);
