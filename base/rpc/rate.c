/* Buckets of calls, one a peer. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/rpc/internal.h"

#define BUCKETS       1024
#define BURST_SECONDS 2

struct rpc_rate {
    pthread_mutex_t lock;
    struct hash_key key; /* no peer chooses whose bucket it shares */
    uint64_t ns_per_call;
    /* When the bucket will be empty again; it is full this far ahead of now. */
    uint64_t busy_until_ns[BUCKETS];
};

struct rpc_rate *rpc_rate_new(uint32_t per_second)
{
    struct rpc_rate *rate = calloc(1, sizeof(*rate));

    assert(per_second > 0);
    if (rate != NULL) {
        (void)pthread_mutex_init(&rate->lock, NULL);
        rate->key = hash_key_random();
        rate->ns_per_call = NS_PER_SEC / per_second;
    }
    return rate;
}

void rpc_rate_free(struct rpc_rate *rate)
{
    if (rate != NULL) {
        (void)pthread_mutex_destroy(&rate->lock);
        free(rate);
    }
}

/* "ipv4:10.0.0.7:41234" without the port. */
static size_t host_length(const char *peer)
{
    const char *colon = strrchr(peer, ':');

    return colon == NULL ? strlen(peer) : (size_t)(colon - peer);
}

bool rpc_rate_take_at(struct rpc_rate *rate, const char *peer, uint64_t now_ns)
{
    const uint64_t hash = hash_bytes(rate->key, peer, host_length(peer));

    (void)pthread_mutex_lock(&rate->lock);
    uint64_t *busy = &rate->busy_until_ns[hash % BUCKETS];
    const uint64_t from_ns = *busy > now_ns ? *busy : now_ns;
    const bool is_taken = from_ns - now_ns < BURST_SECONDS * NS_PER_SEC;

    if (is_taken) {
        *busy = from_ns + rate->ns_per_call;
    }
    (void)pthread_mutex_unlock(&rate->lock);
    return is_taken;
}

bool rpc_rate_take(struct rpc_rate *rate, struct rpc_call *call)
{
    char peer[RPC_PEER_BYTES];

    rpc_peer(call, peer);
    return strncmp(peer, "unix:", 5) == 0 || rpc_rate_take_at(rate, peer, clock_monotonic_ns());
}
