#include "base/transfer/transfer.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/utf8.h"

bool transfer_is_past_deadline(const atomic_uint_fast64_t *deadline_ns)
{
    const uint64_t at_ns = atomic_load(deadline_ns);

    return at_ns != 0 && clock_monotonic_ns() >= at_ns;
}

/* Not 0 ends the transfer: the program stops. */
static int watch(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return transfer_is_past_deadline(context) ? 1 : 0;
}

static void init_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

CURL *transfer_new(const struct transfer_limits *limits, const char *ca_file, char *reason)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const long timeout_ms = (long)(limits->timeout_ns / NS_PER_MS);

    (void)pthread_once(&once, init_library);
    CURL *curl = curl_easy_init();

    if (curl == NULL) {
        return NULL;
    }
    bool ok = curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;

    ok &= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_XFERINFODATA, limits->deadline_ns) == CURLE_OK;
    if (ca_file[0] != '\0') {
        ok &= curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file) == CURLE_OK;
    }
    if (!ok) {
        curl_easy_cleanup(curl);
        return NULL;
    }
    return curl;
}

bool transfer_speak_http(CURL *curl, bool is_loopback)
{
    bool ok = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;

    ok &= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_USERAGENT, "netscope-collector/" NETSCOPE_VERSION) ==
          CURLE_OK;
    if (is_loopback) {
        ok &= curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK;
    }
    return ok;
}

size_t transfer_line(char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        const unsigned taken = utf8_read((const uint8_t *)text + i, length - i, &code);

        if (taken == 0 || utf8_is_control(code)) {
            text[i] = ' ';
        }
        i += taken == 0 ? 1 : taken;
    }
    while (length > 0 && text[length - 1] == ' ') {
        length--;
    }
    text[length] = '\0';
    return length;
}
