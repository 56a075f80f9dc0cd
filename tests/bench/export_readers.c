#include "tests/bench/export_readers.h"

#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rpc/rpc.h"
#include "tests/bench/turns.h"

extern char **environ;

static _Atomic uint64_t received_messages;
static double first_seconds; /* the rpc thread's until the calls have ended */
static _Atomic unsigned ended;

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)call;
    (void)bytes;
    if (length > 0 && received_messages++ == 0) {
        first_seconds = turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    }
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    (void)call;
    (void)result;
    ended++;
}

static const struct rpc_method observe = {
    .path = EXPORT_READERS_PATH, .on_message = on_message, .on_done = on_done};

int export_readers_run(const char *address, unsigned count, const char *ca)
{
    struct rpc_call *calls[EXPORT_READERS_MAX];
    struct rpc_channel *channels[EXPORT_READERS_MAX];
    struct error err = {0};
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, &err);
    const uint8_t follow[] = {8 << 3, 1};
    char line[8];

    for (unsigned i = 0; i < count && runtime != NULL; i++) {
        struct rpc_channel_options options = rpc_channel_options_default(address);
        const struct rpc_call_options request = {.is_single_request = true,
                                                 .request = rpc_bytes_copy(follow, sizeof(follow))};

        options.is_tls = ca[0] != '\0';
        options.ca_path = options.is_tls ? ca : NULL;
        channels[i] = rpc_channel_new(runtime, &options, &err);
        calls[i] =
            channels[i] == NULL ? NULL : rpc_call_start(channels[i], &observe, &request, &err);
        if (calls[i] == NULL) {
            (void)fprintf(stderr, "export_bench: %s\n", err.message);
            return EXIT_FAILURE;
        }
    }
    (void)!fgets(line, sizeof(line), stdin); /* until the parent is through */
    for (unsigned i = 0; i < count && runtime != NULL; i++) {
        rpc_cancel(calls[i], RPC_CANCELLED, "");
        rpc_unref(calls[i]);
        rpc_channel_free(channels[i]);
    }
    while (ended < count) {
        (void)usleep(1000);
    }
    if (received_messages > 0) {
        (void)printf("%.0f\n", (turns_cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - first_seconds) * 1e9 /
                                   (double)received_messages);
    }
    return EXIT_SUCCESS;
}

bool export_readers_start(const char *program, const char *address, unsigned count, const char *ca,
                          struct export_readers *out)
{
    char number[8];
    int ends[2];
    int answers[2];
    posix_spawn_file_actions_t actions;
    char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "read",
                               (char *)(uintptr_t)address, number,
                               (char *)(uintptr_t)ca,      NULL};

    (void)snprintf(number, sizeof(number), "%u", count);
    if (pipe(ends) != 0 || pipe(answers) != 0) {
        return false;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    (void)posix_spawn_file_actions_adddup2(&actions, answers[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, answers[0]);
    const int result = posix_spawn(&out->pid, program, &actions, NULL, arguments, environ);

    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[0]);
    (void)close(answers[1]);
    out->input = ends[1];
    out->output = answers[0];
    return result == 0;
}

double export_readers_end(const struct export_readers *readers)
{
    char text[32] = "";
    int status;

    (void)close(readers->input);
    (void)!read(readers->output, text, sizeof(text) - 1);
    (void)close(readers->output);
    (void)waitpid(readers->pid, &status, 0);
    return strtod(text, NULL);
}
