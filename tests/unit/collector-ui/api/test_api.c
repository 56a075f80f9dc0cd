/* The API over a real socket: answers, refusals, the live feed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "collector-ui/api/api.h"
#include "tests/support/http_client.h"
#include "tests/unit/collector-ui/history/history_harness.h"

struct fixture {
    struct harness harness;
    struct sensor_registry *registry;
    struct api *api;
    uint16_t port;
};

static void start(struct fixture *f, const struct api_settings *settings)
{
    struct error err = {0};
    memset(f, 0, sizeof *f);
    harness_open(&f->harness);
    f->registry = sensor_registry_new(16, 5000000000, &err);
    assert_non_null(f->registry);
    struct sensor_info hello = {.sensor_id = "s-1", .boot_id = BOOT_A, .version = "0.1.0"};
    hello.connected_ns = hello.last_seen_ns = clock_wall_ns();
    assert_true(sensor_registry_connected(f->registry, &hello));
    f->api = api_new(settings, f->harness.history, f->registry, NULL, NULL, NULL, &err);
    if (f->api == NULL) {
        fail_msg("%s", err.message);
    }
    f->port = api_port(f->api);
}

static void stop(struct fixture *f)
{
    api_free(f->api);
    sensor_registry_free(f->registry);
    harness_remove(&f->harness);
}

static const struct api_settings plain = {.bind = "127.0.0.1",
                                          .tick_ns = 50000000,
                                          .top_n = 50,
                                          .clients_max = 2,
                                          .sample_rate = 1,
                                          .payload_bytes = 256};

static void get(struct fixture *f, const char *path, struct http_response *out)
{
    char request[6000];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n", path, f->port);
    http_client_ask(f->port, request, out);
}

static void expect(struct fixture *f, const char *path, unsigned status, const char *part)
{
    struct http_response response;
    get(f, path, &response);
    if (response.status != status || strstr(response.body, part) == NULL) {
        fail_msg("%s: %u instead of %u, without %s: %.600s", path, response.status, status, part,
                 response.body);
    }
    http_response_fini(&response);
}

/* All times of the harness, in ms. */
#define FROM "from=1772366400000"
#define TO   "to=1772370000000"
#define ALL  FROM "&" TO

static void fill(struct fixture *f)
{
    harness_flows(&f->harness, "s-1", 1, 20, 0x6f00, 10);
    for (uint64_t i = 0; i < 5; i++) {
        harness_stats(&f->harness, "s-1", i + 1, i, 100);
    }
    harness_alert(&f->harness, 1, "a-1", 1, 3);
    harness_packet(&f->harness, 1, "p-1");
    harness_wait(&f->harness, 27);
}

/* The minute that holds all of them, of which the even ones are tls: 1 + 3 + ... + 19 packets. */
#define TLS "filter=app%20%3D%20tls&step=60000&" FROM "&to=1772366460000"

static void series_of_a_filter_come_from_the_flow_records(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    expect(&f, "/v1/timeseries?" TLS, 200, "\"series\":[{\"key\":\"total\",\"in\":[null]");
    fill(&f);
    expect(&f, "/v1/timeseries?" TLS, 200,
           "\"series\":[{\"key\":\"total\",\"in\":[0],\"out\":[1333.33");
    expect(&f, "/v1/timeseries?metric=pps&by=app&" TLS, 200,
           "\"series\":[{\"key\":\"tls\",\"in\":[1.66666");
    expect(&f, "/v1/timeseries?metric=new_flows&by=sensor&" TLS, 200,
           "\"series\":[{\"key\":\"s-1\",\"in\":[0.166666");
    expect(&f, "/v1/timeseries?by=direction&" TLS, 200,
           "\"series\":[{\"key\":\"out\",\"in\":[1333.33");
    expect(&f, "/v1/timeseries?by=direction&" TLS, 200, "\"quality\":\"exact\"");
    /* Nothing matches: 0 where the sensor told of the second, else unknown. */
    expect(&f, "/v1/timeseries?filter=app%20%3D%20http&step=1000&" FROM "&to=1772366407000", 200,
           "\"in\":[0,0,0,0,0,null,null]");
    stop(&f);
}

static void every_route_answers(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    expect(&f, "/v1/summary", 200, "\"packets\":0");
    expect(&f, "/v1/timeseries?metric=bps&by=app&step=1000", 200, "\"series\":[]");
    expect(&f, "/v1/flows", 200, "\"flows\":[]");
    fill(&f);
    expect(&f, "/v1/summary?" ALL, 200, "\"totals\":{\"bytes\":21000,\"packets\":210,");
    expect(&f, "/v1/summary?" ALL, 200,
           "\"open_alerts\":1,\"sensors_total\":1,\"sensors_stale\":0");
    expect(&f, "/v1/summary?" ALL, 200,
           "\"top_apps\":[{\"name\":\"tls\",\"bytes_in\":25000,\"bytes_out\":25000}]");
    expect(&f, "/v1/summary?" ALL, 200,
           "{\"sensor\":\"s-1\",\"app\":\"tls\",\"host\":\"example.org\"");
    expect(&f, "/v1/timeseries?metric=bps&by=app&step=1000&" FROM "&to=1772366403000", 200,
           "\"series\":[{\"key\":\"tls\",\"in\":[40000,40000,40000],\"out\":[40000,40000,40000]}]");
    expect(&f, "/v1/timeseries?metric=loss&step=1000&" FROM "&to=1772366402000", 200,
           "\"in\":[90909.");
    expect(&f, "/v1/timeseries?metric=flows&by=sensor&step=60000&" ALL, 200,
           "\"key\":\"s-1\",\"in\":[7,");
    expect(&f, "/v1/timeseries?metric=rtt&step=1000&from=1772366399000&to=1772366401000", 200,
           "\"in\":[null,");
    expect(&f, "/v1/flows?" ALL "&page_size=1&order_by=packets", 200,
           "\"flow_id\":\"0000000000006f13\"");
    expect(&f, "/v1/flows?" ALL "&filter=server.port%20%3D%2053", 200, "\"matched\":10");
    expect(&f, "/v1/flows?" ALL "&filter=interface%20%3D%20eth0", 200, "\"matched\":0");
    expect(&f, "/v1/flows/0000000000006f00", 200, "\"sensor_id\":\"s-1\"");
    expect(&f, "/v1/flows/0000000000006f00?sensor_id=other", 404, "NO_SUCH_FLOW");
    expect(&f, "/v1/facets?" ALL, 200, "\"server_port\":[{\"value\":\"53\",");
    expect(&f, "/v1/sensors", 200,
           "\"sensor_id\":\"s-1\",\"name\":\"s-1\",\"site\":\"\",\"state\":\"LIVE\"");
    expect(&f, "/v1/sensors/s-1", 200, "\"sensor_id\":\"s-1\"");
    expect(&f, "/v1/sensors/none", 404, "NO_SUCH_SENSOR");
    expect(&f, "/v1/alerts?state=open", 200, "\"alert_id\":\"a-1\"");
    expect(&f, "/v1/packets", 200, "\"summary\":\"TCP <b>\"");
    expect(&f, "/v1/packets/p-1", 200, "\"id\":\"p-1\"");
    expect(&f, "/v1/packets/p-2", 404, "the oldest is p-1");
    expect(&f, "/v1/filter:check?filter=app%20%3D%20tls", 200, "{\"ok\":true}");
    expect(&f,
           "/v1/flows?" ALL "&filter=app.protocol%20%3D%20dns%20AND%20sensor_id%20%3D%20%22s-1%22",
           200, "\"matched\":10");
    expect(&f, "/v1/flows?" ALL "&filter=ip_protocol%20%3D%2017%20OR%20vlan_id%20%3D%207", 200,
           "\"matched\":0");
    expect(&f, "/v1/flows?" ALL "&filter=tcp.state%20%3D%20CLOSED", 200, "\"matched\":20");
    expect(&f, "/healthz", 200, "ok");
    expect(&f, "/readyz", 200, "\"status\":\"ready\"");
    expect(&f, "/api/health", 200, "ok");
    expect(&f, "/metrics", 200, "netscope_collector_records_stored_total 27");
    expect(&f, "/metrics", 200, "\nnetscope_dispatch_drops_total 0\n");
    expect(&f, "/metrics", 200, "netscope_collector_flow_packets_stored 210");
    expect(&f, "/", 200, "<html");
    stop(&f);
}

static void packets_can_be_cut_and_switched_off(void **state)
{
    (void)state;
    struct fixture f;
    struct api_settings settings = plain;
    settings.payload_bytes = 3;
    start(&f, &settings);
    fill(&f);
    struct http_response cut;
    get(&f, "/v1/packets/p-1", &cut);
    assert_int_equal(cut.status, 200);
    const char *const data = strstr(cut.body, "\"data\":\"");
    assert_non_null(data);
    assert_int_equal(strcspn(data + 8, "\""), 4); /* base64 of three bytes */
    assert_non_null(strstr(cut.body, "\"summary\":\"TCP <b>\""));
    http_response_fini(&cut);
    stop(&f);

    settings.sample_rate = 0;
    start(&f, &settings);
    fill(&f);
    expect(&f, "/v1/packets", 404, "web.sample_rate is 0");
    expect(&f, "/v1/packets/p-1", 404, "web.sample_rate is 0");
    stop(&f);
}

static void pages_hold_each_flow_once(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const orders[] = {"end_time", "start_time", "bytes",       "packets",
                                         "rate",     "rtt",        "retransmits", "duration"};
    start(&f, &plain);
    fill(&f);
    for (unsigned i = 0; i < 16; i++) {
        char token[300] = "";
        bool seen[20] = {false};
        unsigned pages = 0;
        do {
            char path[600];
            struct http_response response;
            snprintf(path, sizeof path, "/v1/flows?%s&page_size=7&order_by=%s%%20%s&page_token=%s",
                     ALL, orders[i / 2], i % 2 == 0 ? "asc" : "desc", token);
            get(&f, path, &response);
            assert_int_equal(response.status, 200);
            for (const char *at = response.body;
                 (at = strstr(at, "\"flow_id\":\"0000000000006f")) != NULL; at++) {
                const unsigned long n = strtoul(at + 25, NULL, 16);
                assert_true(n < 20 && !seen[n]);
                seen[n] = true;
            }
            const char *const next = strstr(response.body, "\"next_page_token\":\"");
            assert_non_null(next);
            assert_int_equal(sscanf(next + 19, "%250[^\"]", token) == 1 ? 1 : (token[0] = '\0', 1),
                             1);
            http_response_fini(&response);
        } while (token[0] != '\0' && ++pages < 9);
        for (unsigned n = 0; n < 20; n++) {
            assert_true(seen[n]);
        }
    }
    stop(&f);
}

static void a_page_token_is_of_its_own_question(void **state)
{
    (void)state;
    struct fixture f;
    struct http_response response;
    char token[300] = "";
    char path[600];
    start(&f, &plain);
    fill(&f);
    get(&f, "/v1/flows?" ALL "&page_size=7&filter=ip_protocol%20%3D%206", &response);
    const char *const next = strstr(response.body, "\"next_page_token\":\"");
    assert_non_null(next);
    assert_int_equal(sscanf(next + 19, "%250[^\"]", token), 1);
    http_response_fini(&response);
    static const struct {
        const char *query;
        unsigned status;
    } tries[] = {{"filter=ip_protocol%20%3D%206", 200},
                 {"filter=ip_protocol%20%3D%206&dedup=MERGED", 200},
                 {"filter=ip_protocol%20%3D%2017", 400},
                 {"", 400},
                 {"filter=ip_protocol%20%3D%206&dedup=ALL", 400},
                 {"filter=ip_protocol%20%3D%206&order_by=bytes", 400}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        snprintf(path, sizeof path, "/v1/flows?" ALL "&page_size=7&page_token=%s&%s", token,
                 tries[i].query);
        expect(&f, path, tries[i].status,
               tries[i].status == 200 ? "\"flows\"" : "INVALID_PAGE_TOKEN");
    }
    stop(&f);
}

static void absurd_requests_get_a_clear_400(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    expect(&f, "/v1/flows?page_size=1000000000", 400, "page_size: expected a whole number");
    expect(&f, "/v1/flows?page_size=0", 400, "page_size");
    expect(&f, "/v1/flows?page_size=-1", 400, "page_size");
    expect(&f, "/v1/flows?from=5&to=4", 400, "from: must be earlier than to");
    expect(&f, "/v1/flows?from=99999999999999999999", 400, "from");
    expect(&f, "/v1/flows?to=abc", 400, "to: expected");
    expect(&f, "/v1/flows?order_by=colour", 400, "order_by");
    expect(&f, "/v1/flows?page_token=f2.0.0.0.x", 400, "page_token");
    expect(&f, "/v1/flows?filter=sni%20%3D%20x", 400, "\"pos\":0");
    expect(&f, "/v1/filter:check?filter=app%20%3D%20(", 400, "\"reason\":\"INVALID_FILTER\"");
    expect(&f, "/v1/flows/xyz", 400, "16 hexadecimal digits");
    expect(&f, "/v1/timeseries?step=0", 400, "step");
    expect(&f, "/v1/timeseries?metric=colour", 400, "metric");
    expect(&f, "/v1/timeseries?metric=rtt&by=app", 400, "by:");
    expect(&f, "/v1/timeseries?metric=rtt&filter=app%20%3D%20tls", 400, "bps, pps and new_flows");
    expect(&f, "/v1/timeseries?metric=new_flows&by=direction&filter=app%20%3D%20tls", 400, "by:");
    expect(&f, "/v1/timeseries?filter=app%20%3D", 400, "INVALID_FILTER");
    expect(&f, "/v1/timeseries?step=1&from=0&to=9223372036854", 200, "\"step_ms\":");
    expect(&f, "/v1/summary?from=0&to=9223372036854", 200, "\"packets\":0");
    expect(&f, "/v1/alerts?state=ajar", 400, "state");
    expect(&f, "/v1/alerts?page_token=a2.x", 400, "page_token");
    expect(&f, "/v1/alerts?page_token=a1.1", 400, "page_token");
    expect(&f, "/v1/packets?limit=2001", 400, "limit");
    expect(&f, "/v1/packets?flow_id=zz", 400, "flow_id");
    expect(&f, "/v1/nothing", 404, "NO_SUCH_PATH");
    char *const path = malloc(5000);
    assert_non_null(path);
    (void)snprintf(path, 5000, "/v1/flows?filter=");
    memset(path + strlen(path), 'a', 4900 - strlen(path));
    path[4900] = '\0';
    expect(&f, path, 400, "\"INVALID_FILTER\"");
    free(path);
    stop(&f);
}

static void the_door_is_shut_to_strangers(void **state)
{
    (void)state;
    struct fixture f;
    struct error err = {0};
    char path[] = "/tmp/netscope-password-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    struct api_settings settings = plain;
    settings.bind = "0.0.0.0";
    assert_null(api_new(&settings, NULL, NULL, NULL, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "needs TLS and a login"));
    settings = plain;
    settings.auth_enabled = true;
    assert_null(api_new(&settings, NULL, NULL, NULL, NULL, NULL, &err));
    assert_non_null(strstr(err.message, "password_file"));
    settings.auth_username = "ann";
    settings.auth_password_file = path;
    settings.token_file = path;
    start(&f, &settings);
    expect(&f, "/v1/summary", 401, "");
    expect(&f, "/healthz", 200, "ok");
    static const struct {
        const char *header;
        unsigned status;
    } tries[] = {{"Authorization: Basic YW5uOnNlY3JldA==", 200},
                 {"Authorization: Basic YW5uOnNlY3JldDE=", 401},
                 {"Authorization: Basic %%%%", 401},
                 {"Authorization: Bearer secret", 200},
                 {"Authorization: Bearer secrets", 401},
                 {"Cookie: netscope_session=0123", 401}};
    for (unsigned i = 0; i < 6; i++) {
        char request[400];
        struct http_response response;
        snprintf(
            request, sizeof request,
            "GET /v1/sensors HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\nConnection: close\r\n\r\n",
            f.port, tries[i].header);
        http_client_ask(f.port, request, &response);
        assert_int_equal(response.status, tries[i].status);
        assert_false(http_response_has(&response, "Set-Cookie"));
        assert_int_equal(http_response_has(&response, "WWW-Authenticate: Bearer"),
                         tries[i].status == 401);
        http_response_fini(&response);
    }
    stop(&f);
    unlink(path);
}

/* ---- live feed ---- */

static int live_open(struct fixture *f)
{
    struct http_response response;
    const int fd = http_client_connect(f->port);
    assert_true(fd >= 0);
    http_client_send(fd,
                     "GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: live.v1.json\r\n\r\n",
                     f->port);
    http_client_receive(fd, false, &response);
    assert_int_equal(response.status, 101);
    http_response_fini(&response);
    return fd;
}

static void live_say(int fd, const char *text)
{
    assert_true(ws_client_send(fd, 1, true, text, strlen(text)));
}

/* The next message of kind `t`; malloc'ed. */
static char *live_wait(int fd, const char *t)
{
    char wanted[40];
    snprintf(wanted, sizeof wanted, "{\"t\":\"%s\"", t);
    for (unsigned i = 0; i < 300; i++) {
        unsigned opcode = 0;
        uint8_t *data = NULL;
        size_t bytes = 0;
        if (!ws_client_receive(fd, &opcode, &data, &bytes)) {
            fail_msg("closed before a message of kind %s", t);
        }
        if (opcode == 1 && strncmp((const char *)data, wanted, strlen(wanted)) == 0) {
            return (char *)data;
        }
        free(data);
    }
    fail_msg("300 messages and none of kind %s", t);
    return NULL;
}

static void expect_live(int fd, const char *t, const char *part)
{
    char *const text = live_wait(fd, t);
    if (strstr(text, part) == NULL) {
        fail_msg("without %s: %s", part, text);
    }
    free(text);
}

static const char subscription[] = "{\"t\":\"sub\",\"id\":1,\"rate_hz\":30,\"topics\":{\"totals\":{"
                                   "},\"by\":{\"dim\":\"app\",\"top\":7},"
                                   "\"sensors\":{},\"flows\":{\"top\":50,\"sort\":\"bps\","
                                   "\"filter\":\"server.port = 443\"},\"alerts\":{}}}";

static void frames_carry_what_arrived(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    const int fd = live_open(&f);
    expect_live(fd, "hello",
                "\"data\":null,\"caps\":{\"capture\":false,\"packets\":true,"
                "\"ack\":false,\"filtered_series\":true}");
    expect_live(fd, "dict", "\"rev\":1,\"app\":[]");
    live_say(fd, subscription);
    harness_stats(&f.harness, "s-1", 1, 0, 100);
    harness_alert(&f.harness, 1, "a-1", 1, 3);
    uint64_t bytes = 0;
    bool has_alert = false;
    for (unsigned i = 0; i < 20 && (bytes == 0 || !has_alert); i++) {
        char *const frame = live_wait(fd, "frame");
        const char *const cum = strstr(frame, "\"cum\":{\"bytes\":");
        assert_non_null(cum);
        bytes = strtoull(cum + 15, NULL, 10);
        has_alert = has_alert || strstr(frame, "\"changed\":[{") != NULL;
        if (bytes > 0) {
            assert_non_null(strstr(frame, "\"src\":[\"10.0.0.1\"]"));
            assert_non_null(strstr(frame, "a\\\"b<i>.example"));
        }
        free(frame);
    }
    assert_int_equal(bytes, 10000);
    assert_true(has_alert);
    live_say(fd, "{\"t\":\"ping\",\"id\":4,\"c\":17.5}");
    expect_live(fd, "pong", "\"id\":4,\"c\":17.5,\"r\":");
    close(fd);
    stop(&f);
}

static void nonsense_is_answered_or_counted_and_never_fatal(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    const int fd = live_open(&f);
    static const char deep[] =
        "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
        "\"a\":{\"a\":{\"a\":"
        "{\"a\":{\"a\":{}}}}}}}}}}}}}}}}}}}";
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"t\":1}",
        "{\"t\":\"sub\"}",
        "{\"t\":\"sub\",\"topics\":[]}",
        "{\"t\":\"sub\",\"id\":2,\"topics\":{\"by\":{\"dim\":\"colour\"}}}",
        "{\"t\":\"sub\",\"id\":2,\"topics\":{\"flows\":{\"top\":1e99}}}",
        "{\"t\":\"sub\",\"id\":2,\"rate_hz\":-1,\"topics\":{}}",
        deep};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i][0] != '\0') {
            live_say(fd, texts[i]);
            expect_live(fd, "err", "\"code\":\"BAD_MESSAGE\"");
        }
    }
    live_say(fd, "{\"t\":\"sub\",\"id\":7,\"topics\":{\"flows\":{\"filter\":\"sni = x\"}}}");
    expect_live(fd, "err", "\"code\":\"INVALID_FILTER\"");
    live_say(fd, "{\"t\":\"novel\"}");
    live_say(fd, "{\"t\":\"ack\",\"seq\":1e300}");
    live_say(fd, "{\"t\":\"ping\",\"id\":\"x\"}");
    expect_live(fd, "pong", "\"id\":0");
    close(fd);
    stop(&f);
}

static void a_client_that_does_not_acknowledge_gets_merged_frames(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    const int fd = live_open(&f);
    live_say(fd, subscription);
    unsigned frames = 0;
    while (frames < 5) {
        unsigned opcode = 0;
        uint8_t *data = NULL;
        size_t bytes = 0;
        assert_true(ws_client_receive(fd, &opcode, &data, &bytes));
        frames += data != NULL && strstr((char *)data, "\"t\":\"frame\"") != NULL;
        free(data);
    }
    usleep(1500000); /* the first frames are older than a second: then none come */
    harness_alert(&f.harness, 1, "a-1", 1, 3);
    harness_wait(&f.harness, 1);
    usleep(200000);
    char ack[60];
    snprintf(ack, sizeof ack, "{\"t\":\"ack\",\"seq\":%u}", frames);
    live_say(fd, ack);
    bool is_merged = false;
    bool has_alert = false;
    for (unsigned i = 0; i < 40 && !(is_merged && has_alert); i++) {
        char *const frame = live_wait(fd, "frame");
        const char *const seq = strstr(frame, "\"seq\":");
        const char *const merged = strstr(frame, "\"merged\":");
        assert_non_null(seq);
        snprintf(ack, sizeof ack, "{\"t\":\"ack\",\"seq\":%lu}", strtoul(seq + 6, NULL, 10));
        live_say(fd, ack);
        is_merged = is_merged || strtoul(merged + 9, NULL, 10) > 1;
        has_alert = has_alert || strstr(frame, "\"alert_id\":\"a-1\"") != NULL;
        free(frame);
    }
    assert_true(is_merged);
    assert_true(has_alert);
    close(fd);
    stop(&f);
}

static void too_many_clients_are_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &plain);
    const int first = live_open(&f);
    const int second = live_open(&f);
    free(live_wait(first, "hello"));
    free(live_wait(second, "hello"));
    const int third = live_open(&f);
    expect_live(third, "bye", "\"reason\":\"limit\"");
    assert_true(http_client_is_closed(third, 3000));
    close(first);
    close(second);
    close(third);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_answers),
        cmocka_unit_test(series_of_a_filter_come_from_the_flow_records),
        cmocka_unit_test(packets_can_be_cut_and_switched_off),
        cmocka_unit_test(pages_hold_each_flow_once),
        cmocka_unit_test(a_page_token_is_of_its_own_question),
        cmocka_unit_test(absurd_requests_get_a_clear_400),
        cmocka_unit_test(the_door_is_shut_to_strangers),
        cmocka_unit_test(frames_carry_what_arrived),
        cmocka_unit_test(nonsense_is_answered_or_counted_and_never_fatal),
        cmocka_unit_test(a_client_that_does_not_acknowledge_gets_merged_frames),
        cmocka_unit_test(too_many_clients_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
