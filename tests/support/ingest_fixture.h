/* An ingest in a folder of its own, on a port of its own, over a store that counts: for cmocka
 * tests. Depends on: collector-ui/ingest, ingest_store.h. */
#pragma once

#include "base/config/config.h"
#include "tests/support/ingest_store.h"

struct ingest_fixture {
    char directory[64];
    struct ingest_settings settings;
    struct config_section section;
    struct config *config;
    struct ingest_store store;
    struct ingest_events events;
    struct rpc_runtime *runtime;
    struct ingest *ingest;
    char address[64];
};

/* All but the ingest, so that settings may change before. */
struct ingest_fixture *ingest_fixture_new(void);
/* Opens, or opens again, and listens. */
void ingest_fixture_open(struct ingest_fixture *f);
void ingest_fixture_free(struct ingest_fixture *f);
