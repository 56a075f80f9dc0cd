/* Reload, requests to main, audit lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/service/audit.h"
#include "base/service/control.h"
#include "base/service/reload.h"
#include "base/service/settings_file.h"
#include "tests/unit/base/config/sample_settings.h"

static struct sample_settings in_force, candidate;
static struct config_section in_force_sections[SAMPLE_SECTIONS],
    candidate_sections[SAMPLE_SECTIONS];
static struct error err;
static unsigned applies, discards;
static const char *check_refuses;

static struct config *make(void *context, struct error *error)
{
    (void)context;
    sample_sections(&candidate, candidate_sections);
    return config_new(candidate_sections, SAMPLE_SECTIONS, "NETSCOPE", error);
}

static void discard(void *context, struct config *config)
{
    (void)context;
    discards++;
    config_free(config);
}

static int load(void *context, struct config *config, const char *yaml, size_t length,
                struct error *error)
{
    return yaml != NULL ? config_load_text(config, yaml, length, "request", error)
                        : config_load_text(config, context, strlen(context), "a.yaml", error);
}

static int check(void *context, struct config *config, struct error *error)
{
    (void)context;
    if (check_refuses != NULL) {
        (void)error_set(error, EINVAL, "flow.idle_timeout does not suit");
        return config_refuse(config, check_refuses, error);
    }
    return 0;
}

static void apply(void *context, struct reload_result *result)
{
    (void)context;
    applies++;
    reload_add(&result->applied, "a.file");
}

static struct reload_result run(struct config *config, char *file, const char *yaml,
                                bool does_apply)
{
    const struct reload_ops ops = {.context = file,
                                   .make = make,
                                   .discard = discard,
                                   .load = load,
                                   .check = check,
                                   .apply = apply,
                                   .file = yaml != NULL ? "request" : "a.yaml"};
    struct reload_result result;
    reload_run(&ops, config, yaml, yaml == NULL ? 0 : strlen(yaml), does_apply, &result);
    return result;
}

static struct config *fresh(void)
{
    sample_sections(&in_force, in_force_sections);
    applies = discards = 0;
    check_refuses = NULL;
    return config_new(in_force_sections, SAMPLE_SECTIONS, "NETSCOPE", &err);
}

static void hot_values_change_and_the_others_wait(void **state)
{
    static char file[] = "flow: {idle_timeout: 9s, flows_max: 7}\n";
    char text[100];
    (void)state;
    AUTO(config) config = fresh();
    struct reload_result result = run(config, file, NULL, true);
    assert_false(result.is_refused);
    assert_string_equal(reload_text(&result.applied, text, sizeof(text)),
                        "flow.idle_timeout,a.file");
    assert_string_equal(reload_text(&result.needs_restart, text, sizeof(text)), "flow.flows_max");
    assert_int_equal(result.not_taken.count, 1);
    assert_string_equal(result.not_taken.items[0], "key=flow.flows_max in_force=1048576 wanted=7");
    assert_string_equal(reload_text(&result.needs_restart, text, 12), "flow.flo...");
    assert_int_equal(in_force.flow.idle_timeout_ns, 9000000000);
    assert_int_equal(in_force.flow.flows_max, 1048576);
    assert_int_equal(applies, 1);
    assert_int_equal(discards, 1);
    reload_result_free(&result);
}

static void a_look_changes_nothing(void **state)
{
    char text[100];
    (void)state;
    AUTO(config) config = fresh();
    struct reload_result result = run(config, NULL, "flow: {idle_timeout: 9s}\n", false);
    assert_string_equal(reload_text(&result.applied, text, sizeof(text)), "flow.idle_timeout");
    assert_string_equal(reload_text(&result.needs_restart, text, sizeof(text)), "none");
    assert_int_equal(in_force.flow.idle_timeout_ns, 60000000000);
    assert_int_equal(applies, 0);
    reload_result_free(&result);
}

static void a_refusal_changes_nothing_and_says_where(void **state)
{
    static char file[] = "capture:\n  interface: x\nflow:\n  idle_timeout: 9s\n";
    (void)state;
    AUTO(config) config = fresh();
    struct reload_result result = run(config, NULL, "flow:\n  idle_timeout: never\n", true);
    assert_true(result.is_refused);
    assert_string_equal(result.issue.path, "flow.idle_timeout");
    assert_int_equal(result.issue.line, 2);
    reload_result_free(&result);
    check_refuses = "flow.idle_timeout";
    result = run(config, file, NULL, true);
    assert_true(result.is_refused);
    assert_int_equal(result.applied.count, 0);
    assert_string_equal(result.issue.reason, "a.yaml:4: flow.idle_timeout does not suit");
    assert_int_equal(result.issue.line, 4);
    reload_result_free(&result);
    assert_int_equal(in_force.flow.idle_timeout_ns, 60000000000);
    assert_string_equal(in_force.capture.interface, "");
    assert_int_equal(applies, 0);
    assert_int_equal(discards, 2);
}

/* ---- requests ---- */

static unsigned answered, over;

static void answer(struct control_request *request)
{
    answered++;
    over += request->is_over;
}

static void *ask(void *argument)
{
    struct control *control = argument;
    static struct control_request requests[2];
    for (int i = 0; i < 2; i++) {
        requests[i].answer = answer;
        if (!control_ask(control, &requests[i])) {
            return NULL;
        }
    }
    return control;
}

static void requests_of_another_thread_are_answered_in_order_and_at_the_end(void **state)
{
    struct control control;
    pthread_t thread;
    void *was_taken = NULL;
    (void)state;
    control_init(&control);
    assert_null(control_take(&control));
    assert_int_equal(pthread_create(&thread, NULL, ask, &control), 0);
    assert_int_equal(pthread_join(thread, &was_taken), 0);
    assert_non_null(was_taken);
    struct control_request *first = control_take(&control);
    assert_non_null(first);
    first->answer(first);
    assert_int_equal(over, 0);
    control_close(&control);
    assert_int_equal(answered, 2);
    assert_int_equal(over, 1);
    struct control_request late = {.answer = answer};
    assert_false(control_ask(&control, &late));
}

/* ---- audit ---- */

static void audit_lines_are_json_in_a_file_of_its_owner(void **state)
{
    char directory[] = "/tmp/audit-XXXXXX";
    char path[64], moved[64], text[1024] = "";
    struct stat status;
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/audit.log", directory);
    (void)snprintf(moved, sizeof(moved), "%s/audit.log.1", directory);
    assert_int_equal(audit_open(path, &err), 0);
    audit_line("token \"a\"\n", "ipv4:10.0.0.1:5", "ConfigService/ReloadConfig", "ok", "applied=x");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(rename(path, moved), 0); /* as logrotate does */
    audit_reopen();
    audit_line("b", NULL, "x", "refused", NULL);
    audit_close();
    FILE *file = fopen(moved, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_null(fgets(text + 512, 512, file));
    (void)fclose(file);
    assert_non_null(strstr(text, "\"who\":\"token \\\"a\\\"\\n\",\"peer\":\"ipv4:10.0.0.1:5\","
                                 "\"what\":\"ConfigService/ReloadConfig\",\"result\":\"ok\","
                                 "\"detail\":\"applied=x\"}\n"));
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    (void)fclose(file);
    assert_non_null(strstr(text, "\"who\":\"b\",\"what\":\"x\",\"result\":\"refused\"}\n"));
    assert_true(audit_open("/no/such/place/audit.log", &err) < 0);
    assert_non_null(strstr(err.message, "security.audit_file: open /no/such/place"));
    (void)unlink(path);
    (void)unlink(moved);
    (void)rmdir(directory);
}

/* Whoever asks for a path of 8 KiB that is full of quotes and control characters leaves a line as
 * others do: it begins with who, ends with the result, and is cut only in the middle. */
static void an_audit_line_is_whole_whatever_was_asked(void **state)
{
    static const char *const bytes[] = {"a", "\x01", "\"", "\xff", "\xc3\xa4"};
    static char what[8193], text[65536];
    char directory[] = "/tmp/audit-XXXXXX";
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/audit.log", directory);
    assert_int_equal(audit_open(path, &err), 0);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        const size_t one = strlen(bytes[i]);

        for (size_t at = 0; at + one < sizeof(what); at += one) {
            memcpy(what + at, bytes[i], one);
        }
        audit_line("ada", "http:10.0.0.1", what, "PERMISSION_DENIED", "packets");
        audit_line(what, what, what, what, what);
    }
    audit_close();
    FILE *file = fopen(path, "re");
    unsigned lines = 0;

    assert_non_null(file);
    while (fgets(text, sizeof(text), file) != NULL) {
        assert_memory_equal(text, "{\"time\":\"", 9);
        if (lines % 2 == 0) {
            assert_non_null(
                strstr(text, ",\"who\":\"ada\",\"peer\":\"http:10.0.0.1\",\"what\":\""));
            assert_non_null(
                strstr(text, "\",\"result\":\"PERMISSION_DENIED\",\"detail\":\"packets\"}\n"));
        } else {
            assert_string_equal(text + strlen(text) - 3, "\"}\n");
        }
        lines++;
    }
    (void)fclose(file);
    assert_int_equal(lines, 2 * sizeof(bytes) / sizeof(bytes[0]));
    (void)unlink(path);
    (void)rmdir(directory);
}

/* A disk that is full in the middle of a line spoils that line alone. */
static void a_line_behind_a_torn_one_begins_anew(void **state)
{
    struct rlimit before, full;
    char directory[] = "/tmp/audit-XXXXXX";
    char path[64], text[1024];
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/audit.log", directory);
    assert_int_equal(audit_open(path, &err), 0);
    audit_line("one", NULL, "x", "ok", NULL);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = before;
    full.rlim_cur = (rlim_t)status.st_size + 10;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    audit_line("two", NULL, "x", "ok", NULL);
    audit_line("three", NULL, "x", "ok", NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    audit_line("four", NULL, "x", "ok", NULL);
    audit_close();
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_non_null(strstr(text, "\"who\":\"one\""));
    assert_non_null(fgets(text, sizeof(text), file));
    assert_int_equal(strlen(text), 11); /* what there was room for */
    assert_non_null(fgets(text, sizeof(text), file));
    assert_memory_equal(text, "{\"time\":", 8);
    assert_non_null(strstr(text, "\"who\":\"four\",\"what\":\"x\",\"result\":\"ok\"}\n"));
    assert_null(fgets(text, sizeof(text), file));
    (void)fclose(file);
    (void)unlink(path);
    (void)rmdir(directory);
}

/* ---- the file of settings ---- */

static void read_back(const char *path, char out[4096])
{
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    out[fread(out, 1, 4095, file)] = '\0';
    (void)fclose(file);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static void the_file_is_replaced_with_its_mode_and_only_while_it_is_what_was_read(void **state)
{
    char directory[] = "/tmp/netscope-XXXXXX", path[64], fresh[80], text[4096];
    struct settings_file file = {.path = path};
    struct stat status;

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/a.yaml", directory);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    write_text(path, "before");
    assert_int_equal(chmod(path, 0640), 0);
    settings_file_note(&file);
    assert_int_equal(settings_file_check(&file, &err), 0);
    write_text(fresh, "left by a program that was killed");

    assert_int_equal(settings_file_write(&file, "after", 5, &err), 0);
    read_back(path, text);
    assert_string_equal(text, "after");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_not_equal(access(fresh, F_OK), 0);
    assert_int_equal(settings_file_write(&file, "again", 5, &err), 0);

    write_text(path, "by somebody else");
    assert_int_equal(settings_file_write(&file, "mine", 4, &err), -ESTALE);
    read_back(path, text);
    assert_string_equal(text, "by somebody else");
    settings_file_note(&file);
    assert_int_equal(settings_file_write(&file, "mine", 4, &err), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(settings_file_write(&file, "mine", 4, &err), -ENOENT);
    assert_int_equal(rmdir(directory), 0);
}

static void without_a_file_nothing_is_written(void **state)
{
    struct settings_file none = {0}, device = {.path = "/dev/null"};

    (void)state;
    settings_file_note(&none);
    assert_int_equal(settings_file_write(&none, "x", 1, &err), -ENOENT);
    assert_non_null(strstr(err.message, "--config"));
    settings_file_note(&device);
    assert_int_equal(settings_file_write(&device, "x", 1, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_values_change_and_the_others_wait),
        cmocka_unit_test(a_look_changes_nothing),
        cmocka_unit_test(a_refusal_changes_nothing_and_says_where),
        cmocka_unit_test(requests_of_another_thread_are_answered_in_order_and_at_the_end),
        cmocka_unit_test(audit_lines_are_json_in_a_file_of_its_owner),
        cmocka_unit_test(an_audit_line_is_whole_whatever_was_asked),
        cmocka_unit_test(a_line_behind_a_torn_one_begins_anew),
        cmocka_unit_test(the_file_is_replaced_with_its_mode_and_only_while_it_is_what_was_read),
        cmocka_unit_test(without_a_file_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
