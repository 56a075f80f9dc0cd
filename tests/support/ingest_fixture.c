#include "tests/support/ingest_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rpc/rpc.h"

struct ingest_fixture *ingest_fixture_new(void)
{
    struct ingest_fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    assert_non_null(f);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/ingest-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->section = (struct config_section){"ingest", ingest_fields, &f->settings, ""};
    f->config = config_new(&f->section, 1, "T", &err);
    assert_non_null(f->config);
    assert_int_equal(config_set(f->config, "ingest.listen", "127.0.0.1:0", "test", &err), 0);
    f->events = ingest_store_events(&f->store);
    f->runtime = rpc_runtime_new(NULL, &err);
    assert_non_null(f->runtime);
    return f;
}

void ingest_fixture_open(struct ingest_fixture *f)
{
    struct error err = {0};

    f->ingest = ingest_new(&f->settings, f->directory, &f->events, &err);
    if (f->ingest == NULL) {
        fail_msg("%s", err.message);
    }
    const int port = ingest_start(f->ingest, f->runtime, NULL, NULL, &err);

    assert_true(port > 0);
    (void)snprintf(f->address, sizeof(f->address), "127.0.0.1:%d", port);
}

void ingest_fixture_free(struct ingest_fixture *f)
{
    char command[128];

    ingest_free(f->ingest);
    rpc_runtime_free(f->runtime);
    config_free(f->config);
    (void)snprintf(command, sizeof(command), "rm -r %s", f->directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own mkdtemp name */
    free(f);
}
