/* What gRPC's words for a failed connection mean. */
#include <stddef.h>
#include <string.h>

#include "base/attributes.h"
#include "base/rpc/rpc.h"

enum rpc_trouble rpc_trouble_of(const char *message)
{
    static const struct {
        const char *part;
        enum rpc_trouble trouble;
    } table[] = {
        {"ertificate verify failed", RPC_TROUBLE_UNTRUSTED},
        {"CERTIFICATE_VERIFY_FAILED", RPC_TROUBLE_UNTRUSTED},
        {"Hostname Verification", RPC_TROUBLE_OTHER_NAME},
        {"not in peer certificate", RPC_TROUBLE_OTHER_NAME},
        {"not match", RPC_TROUBLE_OTHER_NAME},
        {"WRONG_VERSION_NUMBER", RPC_TROUBLE_PLAINTEXT},
        {"wrong version number", RPC_TROUBLE_PLAINTEXT},
        {"andshake", RPC_TROUBLE_HANDSHAKE},
        {"onnection refused", RPC_TROUBLE_REFUSED},
        {"No such file", RPC_TROUBLE_NO_SOCKET},
        {"DNS resolution failed", RPC_TROUBLE_NO_HOST},
        {"ocket closed", RPC_TROUBLE_CLOSED},
        {"onnection reset", RPC_TROUBLE_CLOSED},
    };

    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strstr(message, table[i].part) != NULL) {
            return table[i].trouble;
        }
    }
    return RPC_TROUBLE_OTHER;
}
