/* What the gRPC library has to say, as lines of our log. */
#include <stddef.h>
#include <string.h>

#include <grpc/support/log.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rpc/internal.h"

#define OTHERS_AGAIN_NS (10 * NS_PER_SEC)
#define BROKEN_AGAIN_NS (60 * NS_PER_SEC)

/* What this thread asks of the library just now tells its failure itself. */
static _Thread_local bool is_told_otherwise;

void rpc_core_quiet(bool is_quiet)
{
    is_told_otherwise = is_quiet;
}

/* Handshakes that a peer breaks again and again, by OpenSSL's words. Either side may be ours, so
 * both are named. */
static const struct {
    const char *part, *meaning;
} broken[] = {
    {"wrong version number", "the peer spoke no TLS to a port of TLS (a sensor: collector.ca; "
                             "netscopectl: --tls), or is another service"},
    {"http request", "the peer spoke HTTP without TLS to a port of TLS"},
    {"did not return a certificate",
     "the peer showed no certificate where one is wanted (a sensor: collector.certificate and "
     "collector.key; netscopectl: --tls-cert)"},
    {"certificate verify failed", "the peer's certificate is not signed by the CA that is set "
                                  "here, or has expired, or a clock is wrong"},
    {"unknown ca", "the peer does not know the CA of the certificate that is shown to it (a "
                   "sensor: collector.ca; netscopectl: --tls-ca)"},
    {"certificate expired",
     "the certificate that is shown to the peer has expired, or its clock is wrong"},
    {"bad certificate", "the peer does not take the certificate that is shown to it"},
    {"certificate unknown", "the peer does not take the certificate that is shown to it"},
    {"certificate required", "the peer wants a certificate, and none is set here"},
};
static_assert(ARRAY_COUNT(broken) == RPC_BROKEN_COUNT, "a limit for each kind");

unsigned rpc_core_broken(const char *text)
{
    unsigned i = 0;

    if (strstr(text, "andshake") == NULL) {
        return RPC_BROKEN_COUNT;
    }
    while (i < RPC_BROKEN_COUNT && strstr(text, broken[i].part) == NULL) {
        i++;
    }
    return i;
}

/* Whoever connects can break a handshake as often as it likes, and sensors that are set up wrongly
 * do so for days: a kind is told at once, then once a minute with how many more there were. The
 * last words before an abort always go out. */
void rpc_core_log(gpr_log_func_args *args)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct log_limit limits[RPC_BROKEN_COUNT + 1];
    const unsigned kind = rpc_core_broken(args->message);
    uint64_t suppressed = 0;
    char text[512], meaning[256];

    if (is_told_otherwise && args->severity == GPR_LOG_SEVERITY_ERROR) {
        log_debug("grpc", "the gRPC library reports", "text=%s",
                  log_quote(args->message, text, sizeof text));
        return;
    }
    pthread_mutex_lock(&lock);
    const bool is_allowed = log_allowed(
        &limits[kind], kind == RPC_BROKEN_COUNT ? OTHERS_AGAIN_NS : BROKEN_AGAIN_NS, &suppressed);
    pthread_mutex_unlock(&lock);
    if (kind == RPC_BROKEN_COUNT) {
        if (is_allowed || strstr(args->message, "assertion failed") != NULL) {
            log_warn("grpc", "the gRPC library reports", "text=%s suppressed=%llu",
                     log_quote(args->message, text, sizeof text), (unsigned long long)suppressed);
        }
    } else if (is_allowed) {
        log_warn("grpc", "a TLS handshake failed", "meaning=%s text=%s suppressed=%llu",
                 log_quote(broken[kind].meaning, meaning, sizeof meaning),
                 log_quote(args->message, text, sizeof text), (unsigned long long)suppressed);
    }
}
