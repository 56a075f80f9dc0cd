#include "collector-ui/access/attempts.h"

#include "base/hash.h"

bool attempts_take(struct attempts *attempts, uint64_t key, uint64_t now_ns, uint64_t *wait_ns)
{
    const uint64_t set = hash_mix(key) % ATTEMPTS_SETS;
    const uint64_t room_ns = attempts->burst * attempts->interval_ns;
    unsigned at = 0;

    for (unsigned i = 0; i < ATTEMPTS_WAYS; i++) {
        if (attempts->slots[set][i].key == key) {
            at = i;
            break;
        }
        if (attempts->slots[set][i].whole_ns < attempts->slots[set][at].whole_ns) {
            at = i;
        }
    }
    uint64_t whole_ns =
        attempts->slots[set][at].key == key ? attempts->slots[set][at].whole_ns : now_ns;

    whole_ns = whole_ns < now_ns ? now_ns : whole_ns;
    if (whole_ns + attempts->interval_ns > now_ns + room_ns) {
        *wait_ns = whole_ns + attempts->interval_ns - now_ns - room_ns;
        return false;
    }
    attempts->slots[set][at].key = key;
    attempts->slots[set][at].whole_ns = whole_ns + attempts->interval_ns;
    return true;
}

void attempts_return(struct attempts *attempts, uint64_t key)
{
    const uint64_t set = hash_mix(key) % ATTEMPTS_SETS;

    for (unsigned i = 0; i < ATTEMPTS_WAYS; i++) {
        if (attempts->slots[set][i].key == key) {
            attempts->slots[set][i].whole_ns -= attempts->interval_ns;
        }
    }
}
