/* Buckets of calls by peer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rpc/rpc.h"

#define NOW (1000 * NS_PER_SEC)

static unsigned taken(struct rpc_rate *rate, const char *peer, uint64_t now_ns, unsigned asked)
{
    unsigned count = 0;
    for (unsigned i = 0; i < asked; i++) {
        count += rpc_rate_take_at(rate, peer, now_ns);
    }
    return count;
}

static void a_peer_has_two_seconds_at_once_and_then_its_rate(void **state)
{
    (void)state;
    struct rpc_rate *rate = rpc_rate_new(10);
    assert_non_null(rate);
    assert_int_equal(taken(rate, "ipv4:10.0.0.1:5", NOW, 100), 20);
    assert_int_equal(taken(rate, "ipv4:10.0.0.1:5", NOW + NS_PER_SEC / 2, 100), 5);
    assert_int_equal(taken(rate, "ipv4:10.0.0.1:5", NOW + NS_PER_SEC, 100), 5);
    assert_int_equal(taken(rate, "ipv4:10.0.0.1:5", NOW + 100 * NS_PER_SEC, 100), 20);
    rpc_rate_free(rate);
    rpc_rate_free(NULL);
}

static void ports_share_the_bucket_of_their_address_and_others_have_their_own(void **state)
{
    (void)state;
    struct rpc_rate *rate = rpc_rate_new(10);
    unsigned full = 0;
    assert_non_null(rate);
    assert_int_equal(taken(rate, "ipv6:[2001:db8::1]:5", NOW, 15), 15);
    assert_int_equal(taken(rate, "ipv6:[2001:db8::1]:6", NOW, 15), 5);
    /* A few of a thousand buckets may be shared, not most. */
    static const char *const others[] = {"ipv4:10.0.0.2:5", "ipv4:10.0.0.3:5", "ipv4:10.0.0.4:5",
                                         "ipv4:10.0.0.5:5", "ipv4:10.0.0.6:5", "ipv4:10.0.0.7:5"};
    for (unsigned i = 0; i < 6; i++) {
        full += taken(rate, others[i], NOW, 30) == 20;
    }
    assert_true(full >= 4);
    rpc_rate_free(rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_has_two_seconds_at_once_and_then_its_rate),
        cmocka_unit_test(ports_share_the_bucket_of_their_address_and_others_have_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
