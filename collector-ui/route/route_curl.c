#include "collector-ui/route/route_curl.h"

#include <pthread.h>

#include "base/clock.h"

/* Not 0 ends the transfer: the program stops. */
static int watch(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return route_is_past_deadline(context) ? 1 : 0;
}

static void init_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

CURL *route_curl_new(const struct route_limits *limits, const char *ca_file, char *reason)
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
