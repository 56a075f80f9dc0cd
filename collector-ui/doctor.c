#include "collector-ui/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "base/service/doctor.h"

#define DEFAULT_DIRECTORY "netscope-collector-data"

int collector_doctor(const struct collector_settings_all *settings, bool is_json, FILE *out)
{
    const struct api_settings *web = &settings->web;
    const char *directory = settings->store.directory;
    struct doctor doctor = {0};
    char address[128];

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
    doctor_secret(&doctor, "web.token_file", web->token_file);
    (void)snprintf(address, sizeof(address), "%s%.60s%s:%u",
                   strchr(web->bind, ':') != NULL ? "[" : "", web->bind,
                   strchr(web->bind, ':') != NULL ? "]" : "", (unsigned)web->port);
    doctor_listen(&doctor, "web.bind", address);
    doctor_print(&doctor, is_json, out);
    const int status = doctor_status(&doctor);

    doctor_fini(&doctor);
    return status;
}
