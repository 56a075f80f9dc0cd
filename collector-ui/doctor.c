#include "collector-ui/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "base/endpoint.h"
#include "base/service/doctor.h"

#define DEFAULT_DIRECTORY "netscope-collector-data"

/* Whoever is told of alerts, where that can be asked. */
static void check_receivers(struct doctor *doctor, const struct route_settings *settings)
{
    for (int i = 0; i < ROUTE_RECEIVERS_MAX && settings->names[i] != NULL; i++) {
        const struct route_receiver_settings *receiver = &settings->receivers[i];
        struct route_peer peer;
        char key[64];

        (void)snprintf(key, sizeof(key), "receivers.%s.url_file", settings->names[i]);
        doctor_secret(doctor, key, receiver->url_file);
        (void)snprintf(key, sizeof(key), "receivers.%s.token_file", settings->names[i]);
        doctor_secret(doctor, key, receiver->token_file);
        (void)snprintf(key, sizeof(key), "receivers.%s", settings->names[i]);
        if (!route_peer_of(receiver, &peer)) {
            continue;
        }
        if (peer.is_any) {
            doctor_connect_any(doctor, key, peer.address);
        } else {
            doctor_connect(doctor,
                           &(struct doctor_peer){
                               .key = key,
                               .address = peer.address,
                               .is_tls = peer.is_tls,
                               .ca_path = receiver->ca_file[0] != '\0' ? receiver->ca_file : NULL,
                           });
        }
    }
}

static void check_kafka(struct doctor *doctor, const struct kafka_source_settings *kafka)
{
    if (kafka->brokers[0] != '\0') {
        doctor_secret(doctor, "kafka_source.sasl_password_file", kafka->access.sasl_password_file);
        doctor_certificate(doctor, "kafka_source.tls_certificate", kafka->access.tls_certificate,
                           kafka->access.tls_key);
        doctor_certificate(doctor, "kafka_source.tls_ca", kafka->access.tls_ca, NULL);
        doctor_connect_any(doctor, "kafka_source.brokers", kafka->brokers);
    }
}

/* One of its tables; each is asked for apart. */
static void check_table(struct doctor *doctor, const struct clickhouse_settings *settings,
                        enum record_stream stream, const char *address)
{
    struct error err = {0};
    bool keeps_records;
    const int columns = clickhouse_probe(settings, stream, &keeps_records, &err);

    if (columns > 0) {
        doctor_add(doctor, DOCTOR_OK, "clickhouse", NULL,
                   "clickhouse.url: %s has the table %s.%s, of which %d columns are filled",
                   address, settings->database, clickhouse_table_of(settings, stream), columns);
        if (stream == RECORD_FLOWS && clickhouse_is_asked(settings) && !keeps_records) {
            doctor_add(
                doctor, DOCTOR_WARN, "clickhouse.query",
                "clickhouse-client --multiquery <deploy/clickhouse/01_flows.sql",
                "clickhouse.query: %s.%s has no column record: questions about what is older "
                "than store.retention find nothing there",
                settings->database, settings->table);
        }
    } else {
        doctor_add(doctor, DOCTOR_FAIL, "clickhouse",
                   stream == RECORD_FLOWS
                       ? "clickhouse-client --multiquery <deploy/clickhouse/01_flows.sql"
                       : "clickhouse-client --multiquery <deploy/clickhouse/04_alerts_stats.sql",
                   "clickhouse.url: %s: %.300s", address, err.message);
    }
}

static void check_clickhouse(struct doctor *doctor, const struct clickhouse_settings *settings)
{
    struct clickhouse_peer peer;

    if (!clickhouse_peer_of(settings, &peer)) {
        return;
    }
    doctor_secret(doctor, "clickhouse.password_file", settings->password_file);
    doctor_secret(doctor, "clickhouse.query_password_file", settings->query_password_file);
    doctor_certificate(doctor, "clickhouse.ca_file", settings->ca_file, NULL);
    for (enum record_stream stream = 0; stream < RECORD_STREAM_COUNT; stream++) {
        if (clickhouse_table_of(settings, stream)[0] != '\0') {
            check_table(doctor, settings, stream, peer.address);
        }
    }
}

static void check_dials(struct doctor *doctor, const struct dials_settings *settings)
{
    for (int i = 0; i < DIALS_MAX && settings->names[i] != NULL; i++) {
        const struct dial_settings *dial = &settings->dials[i];
        char key[64];

        (void)snprintf(key, sizeof(key), "dial.%s.token_file", settings->names[i]);
        doctor_secret(doctor, key, dial->token_file);
        (void)snprintf(key, sizeof(key), "dial.%s.cert_file", settings->names[i]);
        doctor_certificate(doctor, key, dial->cert_file, dial->key_file);
        (void)snprintf(key, sizeof(key), "dial.%s.ca_file", settings->names[i]);
        doctor_certificate(doctor, key, dial->ca_file, NULL);
        (void)snprintf(key, sizeof(key), "dial.%s.address", settings->names[i]);
        doctor_connect(doctor,
                       &(struct doctor_peer){
                           .key = key,
                           .address = dial->address,
                           .is_tls = dial_is_tls(dial),
                           .is_grpc = true,
                           .ca_path = dial->ca_file[0] != '\0' ? dial->ca_file : NULL,
                           .certificate_path = dial->cert_file[0] != '\0' ? dial->cert_file : NULL,
                           .key_path = dial->key_file[0] != '\0' ? dial->key_file : NULL,
                           .server_name = dial->server_name[0] != '\0' ? dial->server_name : NULL,
                       });
    }
}

int collector_doctor(const struct collector_settings_all *settings, bool is_json, FILE *out)
{
    const struct api_settings *web = &settings->web;
    const char *directory = settings->store.directory;
    struct doctor doctor = {0};
    char address[ENDPOINT_TEXT_BYTES];

    if (directory[0] == '\0') {
        directory = getenv("STATE_DIRECTORY"); // NOLINT(concurrency-mt-unsafe)
    }
    doctor_directory(&doctor, "store.directory",
                     directory != NULL && directory[0] != '\0' ? directory : DEFAULT_DIRECTORY,
                     settings->store.retention_bytes);
    doctor_clock(&doctor);
    doctor_certificate(&doctor, "ingest.tls_certificate", settings->ingest.tls_certificate,
                       settings->ingest.tls_key);
    doctor_certificate(&doctor, "ingest.tls_client_ca", settings->ingest.tls_client_ca, NULL);
    doctor_secret(&doctor, "ingest.tokens_file", settings->ingest.tokens_file);
    doctor_listen(&doctor, "ingest.listen", settings->ingest.listen);
    if (web->tls_enabled) {
        doctor_certificate(&doctor, "web.tls.cert_path", web->tls_certificate, web->tls_key);
    }
    doctor_secret(&doctor, "web.auth.password_file", web->auth_password_file);
    doctor_secret(&doctor, "web.auth.users_file", web->users_file);
    doctor_secret(&doctor, "web.token_file", web->token_file);
    endpoint_text(web->bind, (unsigned)web->port, address);
    doctor_listen(&doctor, "web.bind", address);
    check_kafka(&doctor, &settings->kafka_source);
    check_clickhouse(&doctor, &settings->clickhouse);
    check_dials(&doctor, &settings->dial);
    check_receivers(&doctor, &settings->route);
    doctor_print(&doctor, is_json, out);
    const int status = doctor_status(&doctor);

    doctor_fini(&doctor);
    return status;
}
