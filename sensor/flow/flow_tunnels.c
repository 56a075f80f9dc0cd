#include "sensor/flow/flow_tunnels.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NO_STACK        0 /* stacks count from 1 */
#define STACKS_MIN      64
#define FLOWS_PER_STACK 8
#define ADDRESS_PAIR    32
#define ANSWER_IS_PLAIN 1 /* packet_tenant gives 0 or 2 and more */

static_assert(PACKET_TUNNELS_MAX == FLOW_TUNNELS_MAX, "a record lists what a packet does");

/* What tells two stacks apart comes first and has no padding. */
struct stack {
    uint8_t addresses[PACKET_TUNNELS_MAX][ADDRESS_PAIR]; /* outer source, outer target */
    uint32_t ids[PACKET_TUNNELS_MAX];
    uint8_t types[PACKET_TUNNELS_MAX];
    uint8_t versions[PACKET_TUNNELS_MAX]; /* of the outer addresses; 0: none */
    uint32_t count;                       /* may exceed PACKET_TUNNELS_MAX */
    uint32_t flows;                       /* that are inside; 0: the stack is free */
    uint32_t next;                        /* in the list of its bucket, or of free ones */
    uint32_t bucket;
};
#define STACK_IDENTITY_BYTES offsetof(struct stack, flows)

struct place {
    uint32_t stack;
    uint32_t hash; /* of the stack, held or not: for the flow's id */
    uint16_t answer;
    uint16_t reserved;
};

struct flow_tunnels {
    struct hash_key key;  /* of buckets[]: traffic cannot choose one */
    struct place *places; /* by slot; address space until a tunnel is met */
    size_t places_bytes;
    struct stack *stacks; /* 1 .. stacks_max */
    uint32_t *buckets;
    uint32_t stacks_max, bucket_count;
    uint32_t fresh, free_head;
    uint32_t used; /* places that are not empty: 0 is the usual case */
    uint32_t used_peak;
    uint64_t full;
};

static uint32_t stacks_of(uint32_t flows_max)
{
    const uint32_t stacks = flows_max / FLOWS_PER_STACK;

    return stacks > STACKS_MIN ? stacks : STACKS_MIN;
}

struct flow_tunnels *flow_tunnels_new(uint32_t flows_max, uint32_t kinds, struct hash_key key)
{
    struct flow_tunnels *tunnels = calloc(1, sizeof(*tunnels));

    if (tunnels == NULL) {
        return NULL;
    }
    tunnels->stacks_max = tunnels->bucket_count = stacks_of(flows_max);
    tunnels->fresh = 1;
    tunnels->key = key;
    /* Pages that are not touched are not there: see the header. calloc would clear them where it
     * has memory that was given back. */
    tunnels->places_bytes = (size_t)kinds * flows_max * sizeof(*tunnels->places);
    void *places = mmap(NULL, tunnels->places_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tunnels->places = places != MAP_FAILED ? places : NULL;
    tunnels->stacks = calloc((size_t)tunnels->stacks_max + 1, sizeof(*tunnels->stacks));
    tunnels->buckets = calloc(tunnels->bucket_count, sizeof(*tunnels->buckets));
    if (tunnels->places == NULL || tunnels->stacks == NULL || tunnels->buckets == NULL) {
        flow_tunnels_free(tunnels);
        return NULL;
    }
    return tunnels;
}

void flow_tunnels_free(struct flow_tunnels *tunnels)
{
    if (tunnels == NULL) {
        return;
    }
    if (tunnels->places != NULL) {
        (void)munmap(tunnels->places, tunnels->places_bytes);
    }
    free(tunnels->stacks);
    free(tunnels->buckets);
    free(tunnels);
}

static void read_outer(struct stack *stack, unsigned i, const struct packet *packet,
                       const uint8_t *frame)
{
    const uint16_t offset = packet->tunnel_offsets[i];

    if (frame == NULL || offset == PACKET_NO_OUTER_IP) {
        return;
    }
    const uint8_t *ip = frame + offset; /* read by packet_decode, so it is whole */
    stack->versions[i] = ip[0] >> 4;
    if (stack->versions[i] == 4) {
        memcpy(stack->addresses[i], ip + 12, 4);
        memcpy(stack->addresses[i] + 16, ip + 16, 4);
    } else {
        memcpy(stack->addresses[i], ip + 8, ADDRESS_PAIR);
    }
}

static uint32_t find_stack(const struct flow_tunnels *tunnels, const struct stack *stack)
{
    uint32_t at = tunnels->buckets[stack->bucket];

    while (at != NO_STACK && memcmp(&tunnels->stacks[at], stack, STACK_IDENTITY_BYTES) != 0) {
        at = tunnels->stacks[at].next;
    }
    return at;
}

static uint32_t new_stack(struct flow_tunnels *tunnels, const struct stack *stack)
{
    uint32_t at = tunnels->free_head;

    if (at != NO_STACK) {
        tunnels->free_head = tunnels->stacks[at].next;
    } else if (tunnels->fresh <= tunnels->stacks_max) {
        at = tunnels->fresh++;
    } else {
        return NO_STACK;
    }
    tunnels->stacks[at] = *stack;
    tunnels->stacks[at].flows = 0;
    tunnels->stacks[at].next = tunnels->buckets[stack->bucket];
    tunnels->buckets[stack->bucket] = at;
    return at;
}

static void count_used(struct flow_tunnels *tunnels)
{
    if (++tunnels->used > tunnels->used_peak) {
        tunnels->used_peak = tunnels->used;
    }
}

void flow_tunnels_set(struct flow_tunnels *tunnels, uint32_t slot, const struct packet *packet,
                      const uint8_t *frame)
{
    /* Fixed, so that runs and shards agree on the flow's id. */
    static const struct hash_key identity = {UINT64_C(0x6e65747363617065),
                                             UINT64_C(0x74756e6e656c7331)};
    struct stack stack;

    if (packet->tunnel_count == 0) {
        return;
    }
    memset(&stack, 0, sizeof(stack));
    stack.count = packet->tunnel_count;
    for (unsigned i = 0; i < packet->tunnel_count && i < PACKET_TUNNELS_MAX; i++) {
        stack.types[i] = packet->tunnel_types[i];
        stack.ids[i] = packet->tunnel_ids[i];
        read_outer(&stack, i, packet, frame);
    }
    const uint64_t keyed = hash_bytes(tunnels->key, &stack, STACK_IDENTITY_BYTES);
    stack.bucket = (uint32_t)(((keyed >> 32) * tunnels->bucket_count) >> 32);
    uint32_t at = find_stack(tunnels, &stack);
    if (at == NO_STACK) {
        at = new_stack(tunnels, &stack);
    }
    if (at == NO_STACK) {
        tunnels->full++;
    } else {
        tunnels->stacks[at].flows++;
    }
    const uint64_t hash = hash_bytes(identity, &stack, STACK_IDENTITY_BYTES);
    const uint32_t folded = (uint32_t)(hash ^ hash >> 32);
    tunnels->places[slot] = (struct place){.stack = at, .hash = folded != 0 ? folded : 1};
    count_used(tunnels);
}

uint64_t flow_tunnels_memory_bytes(const struct flow_tunnels *tunnels)
{
    return (tunnels->fresh - 1) * sizeof(struct stack) + tunnels->used_peak * sizeof(struct place);
}

uint32_t flow_tunnels_hash(const struct flow_tunnels *tunnels, uint32_t slot)
{
    return tunnels->used > 0 ? tunnels->places[slot].hash : 0;
}

static void release_stack(struct flow_tunnels *tunnels, uint32_t at)
{
    struct stack *stack = &tunnels->stacks[at];

    if (--stack->flows > 0) {
        return;
    }
    uint32_t *link = &tunnels->buckets[stack->bucket];
    while (*link != at) {
        link = &tunnels->stacks[*link].next;
    }
    *link = stack->next;
    stack->next = tunnels->free_head;
    tunnels->free_head = at;
}

void flow_tunnels_clear(struct flow_tunnels *tunnels, uint32_t slot)
{
    if (tunnels->used == 0) {
        return;
    }
    struct place *place = &tunnels->places[slot];
    if (place->hash == 0 && place->answer == 0) {
        return;
    }
    if (place->stack != NO_STACK) {
        release_stack(tunnels, place->stack);
    }
    *place = (struct place){0};
    tunnels->used--;
}

bool flow_tunnels_is_answer(const struct flow_tunnels *tunnels, uint32_t slot, uint16_t tenant)
{
    return tunnels->used > 0 &&
           tunnels->places[slot].answer == (tenant != 0 ? tenant : ANSWER_IS_PLAIN);
}

void flow_tunnels_set_answer(struct flow_tunnels *tunnels, uint32_t slot, uint16_t tenant)
{
    struct place *place = &tunnels->places[slot];

    if (place->hash == 0 && place->answer == 0) {
        count_used(tunnels);
    }
    place->answer = tenant != 0 ? tenant : ANSWER_IS_PLAIN;
}

void flow_tunnels_fill(const struct flow_tunnels *tunnels, uint32_t slot, bool is_swapped,
                       struct flow_record *record)
{
    if (tunnels->used == 0 || tunnels->places[slot].stack == NO_STACK) {
        return;
    }
    const struct stack *stack = &tunnels->stacks[tunnels->places[slot].stack];
    const unsigned count = stack->count < FLOW_TUNNELS_MAX ? stack->count : FLOW_TUNNELS_MAX;

    record->tunnels_count = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        struct flow_tunnel *out = &record->tunnels[i];

        out->type = stack->types[i];
        out->id = stack->ids[i];
        out->outer_source.version = out->outer_target.version = stack->versions[i];
        memcpy(out->outer_source.bytes, stack->addresses[i] + (is_swapped ? 16 : 0), 16);
        memcpy(out->outer_target.bytes, stack->addresses[i] + (is_swapped ? 0 : 16), 16);
    }
    record->tunnels[count - 1].omitted = stack->count - count;
}

uint64_t flow_tunnels_full(const struct flow_tunnels *tunnels)
{
    return tunnels->full;
}
