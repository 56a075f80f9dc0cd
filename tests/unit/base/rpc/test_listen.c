/* Addresses, TLS and hostile bytes. argv[1]: the script that makes certificates. */
#include "tests/unit/base/rpc/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/netscope-rpc-XXXXXX";
static const char *script;

static const char *in_folder(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int run(const char *command)
{
    char *const arguments[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                               (char *)(uintptr_t)command, NULL};
    pid_t child = 0;
    int status = -1;
    if (posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) != 0) {
        return -1;
    }
    return waitpid(child, &status, 0) == child ? status : -1;
}

static int make_certificates(void **state)
{
    (void)state;
    char command[512];
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(command, sizeof command, "sh %s %s", script, folder);
    return run(command);
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return run(command);
}

static enum rpc_status call_identity(struct fixture *fixture,
                                     const struct rpc_channel_options *options,
                                     struct outcome *outcome)
{
    struct error err = {0};
    struct rpc_channel *channel = rpc_channel_new(fixture->runtime, options, &err);
    if (channel == NULL) {
        fail_msg("%s", err.message);
    }
    outcome->is_done = false;
    const enum rpc_status status =
        fixture_unary(channel, "/test.Echo/Identity", "", 0, NULL, outcome);
    outcome->last[outcome->last_bytes] = '\0';
    rpc_channel_free(channel);
    return status;
}

static struct rpc_channel_options tls_options(const struct fixture *fixture, const char *ca,
                                              const char *client)
{
    char name[64];
    struct rpc_channel_options options = rpc_channel_options_default(fixture->target);
    options.is_tls = true;
    options.ca_path = in_folder(ca);
    options.server_name = "localhost";
    if (client != NULL) {
        (void)snprintf(name, sizeof name, "%s.pem", client);
        options.certificate_path = in_folder(name);
        (void)snprintf(name, sizeof name, "%s.key", client);
        options.key_path = in_folder(name);
    }
    return options;
}

static void mutual_tls_admits_its_own_and_nobody_else(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct rpc_server_tls tls = {in_folder("server.pem"), in_folder("server.key"),
                                       in_folder("ca.pem")};
    fixture_open(&fixture, NULL, &tls);
    struct outcome *outcome = outcome_new();

    struct rpc_channel_options options = tls_options(&fixture, "ca.pem", "client");
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);
    assert_non_null(strstr(outcome->last, "sensor-7|"));
    assert_non_null(strstr(outcome->last, "|sensor-7.example|") != NULL
                        ? outcome->last
                        : strstr(outcome->last, "netscope:sensor-7"));
    options = tls_options(&fixture, "ca.pem", "stranger");
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    options = tls_options(&fixture, "ca.pem", "expired");
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    options = tls_options(&fixture, "ca.pem", NULL);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    options =
        tls_options(&fixture, "other-ca.pem", "client"); /* the client does not trust the server */
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    options = rpc_channel_options_default(fixture.target); /* plaintext */
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    options = tls_options(&fixture, "ca.pem", "client");
    options.server_name = "elsewhere.example";
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    outcome_free(outcome);
    fixture_close(&fixture);
}

static void a_renewed_certificate_is_used_without_a_restart(void **state)
{
    (void)state;
    struct fixture fixture;
    char command[512];
    (void)snprintf(command, sizeof command,
                   "cd %s && cp server.pem live.pem && cp server.key live.key", folder);
    assert_int_equal(run(command), 0);
    const struct rpc_server_tls tls = {in_folder("live.pem"), in_folder("live.key"), NULL};
    fixture_open(&fixture, NULL, &tls);
    struct outcome *outcome = outcome_new();
    struct rpc_channel_options options = tls_options(&fixture, "ca.pem", NULL);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);

    /* The new pair is of another authority: who trusts only that one gets in after the change. */
    options = tls_options(&fixture, "other-ca.pem", NULL);
    options.server_name = "sensor-7.example";
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_UNAVAILABLE);
    (void)snprintf(command, sizeof command,
                   "cd %s && cp stranger.key live.key && cp stranger.pem live.pem", folder);
    assert_int_equal(run(command), 0);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);

    /* A key that others can read is not taken; its mode is all that has to change. */
    (void)snprintf(
        command, sizeof command,
        "cd %s && cp server.key live.key && chmod 644 live.key && cp server.pem live.pem", folder);
    assert_int_equal(run(command), 0);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);
    (void)snprintf(command, sizeof command, "chmod 600 %s/live.key", folder);
    assert_int_equal(run(command), 0);
    options = tls_options(&fixture, "ca.pem", NULL);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);

    /* A pair that does not belong together, and then a broken file, leave the one that is there. */
    (void)snprintf(command, sizeof command, "cp %s/client.key %s/live.key", folder, folder);
    assert_int_equal(run(command), 0);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);
    (void)snprintf(command, sizeof command, "echo broken > %s/live.pem", folder);
    assert_int_equal(run(command), 0);
    assert_int_equal(call_identity(&fixture, &options, outcome), RPC_OK);
    outcome_free(outcome);
    fixture_close(&fixture);
}

static void refuse_listen(const char *address, const struct rpc_server_tls *tls, int code,
                          const char *part)
{
    struct error err = {0};
    struct rpc_runtime *runtime = rpc_runtime_new(NULL, &err);
    struct rpc_server *server = rpc_server_new(runtime, NULL, &err);
    assert_int_equal(rpc_server_listen(server, address, tls, &err), -code);
    if (strstr(err.message, part) == NULL || strstr(err.message, address) == NULL) {
        fail_msg("'%s' does not name %s and '%s'", err.message, address, part);
    }
    rpc_server_free(server);
    rpc_runtime_free(runtime);
}

static void a_port_is_had_only_once(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL, NULL);
    refuse_listen(fixture.target, NULL, EADDRINUSE, "address in use");
    fixture_close(&fixture);
}

static void addresses_and_files_that_cannot_be_are_named(void **state)
{
    (void)state;
    const struct rpc_server_tls missing = {in_folder("nothing.pem"), in_folder("server.key"), NULL};
    const struct rpc_server_tls no_pem = {in_folder("server.ext"), in_folder("server.key"), NULL};
    const struct rpc_server_tls mixed = {in_folder("server.pem"), in_folder("client.key"), NULL};
    refuse_listen("localhost", NULL, EINVAL, "host:port");
    refuse_listen("127.0.0.1:99999", NULL, EINVAL, "host:port");
    refuse_listen("::1:5000", NULL, EINVAL, "host:port");
    refuse_listen("127.0.0.1:0", &missing, ENOENT, "nothing.pem");
    refuse_listen("127.0.0.1:0", &no_pem, EINVAL, "PEM");
    refuse_listen("127.0.0.1:0", &mixed, EINVAL, "belong together");
    char command[256];
    (void)snprintf(command, sizeof command, "echo '-----BEGIN CERTIFICATE-----x' > %s/bad.pem",
                   folder);
    assert_int_equal(run(command), 0);
    (void)snprintf(command, sizeof command, "cd %s && cp server.key open.key && chmod 644 open.key",
                   folder);
    assert_int_equal(run(command), 0);
    const struct rpc_server_tls open_key = {in_folder("server.pem"), in_folder("open.key"), NULL};
    refuse_listen("127.0.0.1:0", &open_key, EACCES, "chmod 600");
    const struct rpc_server_tls bad = {in_folder("bad.pem"), in_folder("server.key"), NULL};
    const struct rpc_server_tls bad_ca = {in_folder("server.pem"), in_folder("server.key"),
                                          in_folder("bad.pem")};
    refuse_listen("127.0.0.1:0", &bad, EINVAL, "cannot be used");
    refuse_listen("127.0.0.1:0", &bad_ca, EINVAL, "cannot be used");
}

static void a_unix_socket_replaces_only_a_stale_one(void **state)
{
    (void)state;
    struct error err = {0};
    char address[160];
    (void)snprintf(address, sizeof address, "unix:%s", in_folder("rpc.sock"));
    const char *path = address + 5;
    struct sockaddr_un stale = {.sun_family = AF_UNIX};
    (void)snprintf(stale.sun_path, sizeof stale.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&stale, sizeof stale), 0);
    close(fd); /* the file stays, nobody answers */

    struct rpc_runtime *runtime = rpc_runtime_new(NULL, &err);
    struct rpc_server *server = rpc_server_new(runtime, NULL, &err);
    assert_int_equal(rpc_server_add(server, echo_methods, echo_methods_count, &err), 0);
    assert_int_equal(rpc_server_listen(server, address, NULL, &err), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    rpc_server_start(server);
    refuse_listen(address, NULL, EADDRINUSE, "address in use");

    const struct rpc_channel_options options = rpc_channel_options_default(address);
    struct rpc_channel *channel = rpc_channel_new(runtime, &options, &err);
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(channel, "/test.Echo/Unary", "x", 1, NULL, outcome), RPC_OK);
    outcome_free(outcome);
    rpc_channel_free(channel);
    rpc_server_free(server);
    rpc_runtime_free(runtime);

    (void)snprintf(address, sizeof address, "unix:%s", in_folder("server.pem"));
    refuse_listen(address, NULL, EEXIST, "not a socket");
}

static void garbage_does_not_disturb_others(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL, NULL);
    uint64_t seed = 7;
    for (unsigned round = 0; round < 30; round++) {
        uint8_t bytes[600] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for (size_t i = round % 2 == 0 ? 0 : 24; i < sizeof bytes; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            bytes[i] = (uint8_t)(seed >> 56);
        }
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        const struct sockaddr_in to = {.sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)fixture.port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
        (void)!send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        close(fd);
    }
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, NULL, outcome),
                     RPC_OK);
    outcome_free(outcome);
    fixture_close(&fixture);
}

/* ---- how many connections ---- */

static int dial(int port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct timeval patience = {.tv_sec = 20};
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* The other end closes it without a byte. */
static bool is_refused(int fd)
{
    char byte;
    const ssize_t got = recv(fd, &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

static struct rpc_server_counts counts_when(struct rpc_server *server, uint32_t live)
{
    struct rpc_server_counts counts = {0};

    for (unsigned tries = 0; tries < 2000; tries++) {
        rpc_server_counts(server, &counts);
        if (counts.connections_live == live) {
            break;
        }
        (void)usleep(10000);
    }
    assert_int_equal(counts.connections_live, live);
    return counts;
}

static void hold_to_connections_max(const struct rpc_server_tls *tls)
{
    enum { MAX = 3, MORE = 70 };
    struct rpc_server_options options = rpc_server_options_default();
    struct fixture fixture;
    int held[MAX];

    options.connections_max = MAX;
    fixture_open(&fixture, &options, tls);
    for (unsigned i = 0; i < MAX; i++) {
        held[i] = dial(fixture.port);
        (void)counts_when(fixture.server, i + 1);
    }
    for (unsigned i = 0; i < MORE; i++) {
        const int more = dial(fixture.port);
        assert_true(is_refused(more));
        close(more);
    }
    struct rpc_server_counts counts = counts_when(fixture.server, MAX);
    assert_int_equal(counts.connections_refused, MORE);
    assert_int_equal(counts.connections_accepted, MAX + MORE);
    close(held[0]);
    counts = counts_when(fixture.server, MAX - 1);
    struct outcome *outcome = outcome_new(); /* there is room for one that speaks */
    if (tls == NULL) {
        assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, NULL, outcome),
                         RPC_OK);
    } else {
        const struct rpc_channel_options client = tls_options(&fixture, "ca.pem", "client");
        assert_int_equal(call_identity(&fixture, &client, outcome), RPC_OK);
    }
    outcome_free(outcome);
    rpc_server_counts(fixture.server, &counts);
    assert_int_equal(counts.connections_refused, MORE);
    close(held[1]);
    close(held[2]);
    fixture_close(&fixture);
}

static void connections_beyond_the_bound_are_closed_and_counted(void **state)
{
    const struct rpc_server_tls tls = {in_folder("server.pem"), in_folder("server.key"),
                                       in_folder("ca.pem")};
    (void)state;
    hold_to_connections_max(NULL);
    hold_to_connections_max(&tls);
}

/* Two servers of one process: each has its own bound, one without a bound has none. */
static void a_bound_is_of_its_server_alone(void **state)
{
    (void)state;
    struct rpc_server_options options = rpc_server_options_default();
    struct fixture bounded;
    struct fixture open;
    struct rpc_server_counts counts;

    options.connections_max = 1;
    fixture_open(&bounded, &options, NULL);
    fixture_open(&open, NULL, NULL);
    const int first = dial(bounded.port);
    (void)counts_when(bounded.server, 1);
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(open.channel, "/test.Echo/Unary", "x", 1, NULL, outcome),
                     RPC_OK);
    outcome->is_done = false;
    assert_int_equal(fixture_unary(bounded.channel, "/test.Echo/Unary", "x", 1, NULL, outcome),
                     RPC_UNAVAILABLE);
    rpc_server_counts(open.server, &counts);
    assert_int_equal(counts.connections_accepted, 0); /* nobody counts */
    rpc_server_counts(bounded.server, &counts);
    assert_true(counts.connections_refused > 0);
    outcome_free(outcome);
    close(first);
    fixture_close(&open);
    fixture_close(&bounded);
}

static void nobody_there_ends_in_unavailable(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL, NULL);
    rpc_server_stop(fixture.server, 0);
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, NULL, outcome),
                     RPC_UNAVAILABLE);
    outcome_free(outcome);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutual_tls_admits_its_own_and_nobody_else),
        cmocka_unit_test(a_renewed_certificate_is_used_without_a_restart),
        cmocka_unit_test(a_port_is_had_only_once),
        cmocka_unit_test(addresses_and_files_that_cannot_be_are_named),
        cmocka_unit_test(a_unix_socket_replaces_only_a_stale_one),
        cmocka_unit_test(garbage_does_not_disturb_others),
        cmocka_unit_test(connections_beyond_the_bound_are_closed_and_counted),
        cmocka_unit_test(a_bound_is_of_its_server_alone),
        cmocka_unit_test(nobody_there_ends_in_unavailable),
    };
    script = argc > 1 ? argv[1] : TEST_CERTS_SCRIPT;
    return cmocka_run_group_tests_name("base/rpc addresses and TLS", tests, make_certificates,
                                       remove_certificates);
}
