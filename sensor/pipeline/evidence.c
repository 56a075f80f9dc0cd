#include "sensor/pipeline/evidence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WAYS       8U /* packets in a bucket */
#define WAYS_FIRST 4U /* of them the first of the second */
#define MANY       16U
#define ONE_IN     16U

struct evidence {
    uint64_t second;
    struct hash_key key;
    uint32_t buckets; /* a power of two */
    uint32_t *counts; /* packets that each bucket was offered in this second */
    struct evidence_packet *packets;
};

uint32_t evidence_room(uint64_t bytes)
{
    const uint64_t bucket = WAYS * sizeof(struct evidence_packet) + sizeof(uint32_t);
    uint32_t buckets = 1;

    if (bytes < bucket) {
        return 0;
    }
    while (2 * (uint64_t)buckets * bucket <= bytes && buckets < (1U << 20)) {
        buckets *= 2;
    }
    return buckets * WAYS;
}

struct evidence *evidence_new(uint32_t packets, struct hash_key key, struct error *err)
{
    AUTO(evidence) evidence = calloc(1, sizeof(*evidence));

    if (evidence != NULL) {
        evidence->key = key;
        evidence->buckets = packets / WAYS;
        evidence->counts = calloc(evidence->buckets, sizeof(*evidence->counts));
        evidence->packets = malloc(packets * sizeof(*evidence->packets));
    }
    if (evidence == NULL || evidence->counts == NULL || evidence->packets == NULL) {
        error_set(err, ENOMEM, "evidence: no memory for %u packets", packets);
        return NULL;
    }
    return TAKE(evidence);
}

void evidence_free(struct evidence *evidence)
{
    if (evidence != NULL) {
        free(evidence->counts);
        free(evidence->packets);
        free(evidence);
    }
}

void evidence_reset(struct evidence *evidence, uint64_t second)
{
    evidence->second = second;
    memset(evidence->counts, 0, evidence->buckets * sizeof(*evidence->counts));
}

uint64_t evidence_second(const struct evidence *evidence)
{
    return evidence->second;
}

uint64_t evidence_bytes(const struct evidence *evidence)
{
    return evidence->buckets * (WAYS * sizeof(struct evidence_packet) + sizeof(*evidence->counts));
}

/* Multiply and shift, by a secret factor and offset. */
static uint32_t bucket_of(const struct evidence *evidence, uint8_t ip_version,
                          const uint8_t address[16])
{
    const struct hash_key key = evidence->key;
    uint64_t hash;

    if (ip_version == 4) {
        uint32_t word;

        memcpy(&word, address, sizeof(word));
        hash = (word + key.a) * (key.b | 1);
    } else {
        uint64_t words[2];

        memcpy(words, address, sizeof(words));
        hash = (words[0] + key.b) * (key.a | 1) + (words[1] + key.a) * (key.b | 1);
    }
    return (uint32_t)(hash >> 32) & (evidence->buckets - 1);
}

/* NULL: one in many, and it is not this one. */
static struct evidence_packet *slot_in(struct evidence *evidence, uint32_t bucket)
{
    const uint32_t count = evidence->counts[bucket]++;

    if (count >= MANY && count % ONE_IN != 0) {
        return NULL;
    }
    const uint32_t taken = count < MANY ? count : MANY + (count - MANY) / ONE_IN;
    const uint32_t way = taken < WAYS_FIRST ? taken : WAYS_FIRST + taken % (WAYS - WAYS_FIRST);

    return &evidence->packets[bucket * WAYS + way];
}

uint32_t evidence_slots(struct evidence *evidence, uint8_t ip_version, const uint8_t source[16],
                        const uint8_t target[16], struct evidence_packet *out[2])
{
    const uint8_t *const ends[2] = {source, target};
    uint32_t last = UINT32_MAX;
    uint32_t count = 0;

    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t bucket = ends[i] == NULL ? last : bucket_of(evidence, ip_version, ends[i]);

        if (bucket == last) {
            continue;
        }
        last = bucket;
        struct evidence_packet *slot = slot_in(evidence, bucket);

        if (slot != NULL) {
            out[count++] = slot;
        }
    }
    return count;
}

void evidence_find(const struct evidence *evidence, const struct ip_address *address,
                   void (*each)(void *context, const struct evidence_packet *packet), void *context)
{
    const uint32_t bucket = bucket_of(evidence, address->version, address->bytes);
    const uint32_t count = evidence->counts[bucket];

    for (uint32_t way = 0; way < WAYS && way < count; way++) {
        const struct evidence_packet *packet = &evidence->packets[bucket * WAYS + way];

        if (address_equal(&packet->source, address) || address_equal(&packet->target, address)) {
            each(context, packet);
        }
    }
}
