/* What sentences of gRPC mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "base/rpc/rpc.h"

static void sentences_have_a_meaning(void **state)
{
    static const struct {
        const char *message;
        enum rpc_trouble trouble;
    } rows[] = {
        {"failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to "
         "connect to remote host: Connection refused",
         RPC_TROUBLE_REFUSED},
        {"Ssl handshake failed: SSL_ERROR_SSL: error:1416F086:SSL routines:"
         "tls_process_server_certificate:certificate verify failed",
         RPC_TROUBLE_UNTRUSTED},
        {"Ssl handshake failed: SSL_ERROR_SSL: error:1408F10B:SSL routines:ssl3_get_record:wrong "
         "version number",
         RPC_TROUBLE_PLAINTEXT},
        {"Hostname Verification Check failed.", RPC_TROUBLE_OTHER_NAME},
        {"Handshake read failed", RPC_TROUBLE_HANDSHAKE},
        {"failed to connect to all addresses; last error: UNKNOWN: unix:/run/none: No such file or "
         "directory",
         RPC_TROUBLE_NO_SOCKET},
        {"DNS resolution failed for nowhere.example:50051", RPC_TROUBLE_NO_HOST},
        {"Socket closed", RPC_TROUBLE_CLOSED},
        {"recvmsg:Connection reset by peer", RPC_TROUBLE_CLOSED},
        {"server shutting down", RPC_TROUBLE_OTHER},
        {"", RPC_TROUBLE_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(rpc_trouble_of(rows[i].message), rows[i].trouble);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sentences_have_a_meaning)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
