/* `netscopectl doctor`: connects step by step, tells the exact failure of the first that fails, and
 * what cures it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/doctor.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/show.h"

#define SERVICE        "/netscope.v1."
#define REFLECTION     "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define CLOCK_SLACK_NS (5 * NS_PER_SEC)

struct visit {
    struct ctl *ctl;
    struct doctor doctor;
    struct connection connection;
    enum server_kind kind;
    enum ctl_exit status; /* of the step that failed */
};

/* A finding with a text that may come from the server. */
static void add(struct visit *visit, enum doctor_level level, const char *check, const char *cure,
                const char *text)
{
    char safe[DOCTOR_TEXT_BYTES] = "";
    struct show show = SHOW_OVER(safe);

    show_sentence(&show, text);
    doctor_add(&visit->doctor, level, check, cure, "%s", safe);
}

/* ---- settings and the way there ---- */

static void look_at_files(struct doctor *doctor, const struct ctl_settings *s)
{
    if (strcmp(s->ca, "system") != 0) {
        doctor_certificate(doctor, "--tls-ca", s->ca, NULL);
    }
    doctor_certificate(doctor, "--tls-cert", s->certificate, s->key);
    doctor_secret(doctor, "--token-file", s->token_file);
}

static void connect_to(struct doctor *doctor, const struct ctl_settings *s, const char *server)
{
    const struct doctor_peer peer = {
        .key = "--server",
        .address = server,
        .is_tls = connection_wants_tls(s, server),
        .is_grpc = true,
        .ca_path = s->ca[0] != '\0' && strcmp(s->ca, "system") != 0 ? s->ca : NULL,
        .certificate_path = s->certificate[0] != '\0' ? s->certificate : NULL,
        .key_path = s->key[0] != '\0' ? s->key : NULL,
        .server_name = s->server_name[0] != '\0' ? s->server_name : NULL,
        .is_thorough = true,
        .ca_key = "--tls-ca",
        .certificate_key = "--tls-cert and --tls-key",
        .server_name_key = "--tls-server-name",
        .plaintext_cure = "leave --tls and --tls-ca out on this machine; else give --plaintext, or "
                          "set ingest.tls_certificate (grpc.tls_certificate of a sensor) there"};

    doctor_connect(doctor, &peer);
}

/* The first address of this machine that takes connections; the others are only to look at. */
static const char *find_server(struct doctor *doctor, const struct ctl_settings *s)
{
    const char *found = NULL;

    for (size_t i = 0; i < CONNECTION_DEFAULTS && found == NULL; i++) {
        const uint32_t before = doctor->count;

        connect_to(doctor, s, connection_defaults[i]);
        for (uint32_t k = before; k < doctor->count; k++) {
            if (doctor->findings[k].level == DOCTOR_FAIL && i + 1 < CONNECTION_DEFAULTS) {
                doctor->findings[k].level = DOCTOR_WARN;
            }
        }
        if (doctor->count > before && doctor->findings[doctor->count - 1].level == DOCTOR_OK) {
            found = connection_defaults[i];
        }
    }
    return found;
}

/* ---- gRPC ---- */

static bool failed(struct visit *visit, const char *check, const char *cure, enum ctl_exit status,
                   const struct error *err)
{
    if (status != CTL_OK) {
        visit->status = status;
        add(visit, DOCTOR_FAIL, check, cure,
            err->code != 0 ? err->message : "interrupted before the answer was whole");
    }
    return status != CTL_OK;
}

static bool look_at_health(struct visit *visit)
{
    static const char *const kinds[] = {"a server that is neither sensor nor collector",
                                        "a collector", "a sensor"};
    struct error err = {0};
    unsigned state = 0;
    char text[DOCTOR_TEXT_BYTES];
    const char *cure = visit->connection.is_tls
                           ? NULL
                           : "it may want TLS: give --tls, or --tls-ca with the CA of the server";
    enum ctl_exit status = connection_health(&visit->connection, "", &state, &err);

    status = status == CTL_OK ? connection_kind(&visit->connection, &visit->kind, &err) : status;
    if (failed(visit, "grpc", cure, status, &err)) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%s answers: %s, %s", visit->connection.target,
                   kinds[visit->kind], state == 1 ? "serving" : "not serving");
    add(visit, state == 1 ? DOCTOR_OK : DOCTOR_WARN, "grpc",
        "look at its log, and at netscopectl status", text);
    if (visit->kind == SERVER_UNKNOWN) {
        add(visit, DOCTOR_FAIL, "grpc",
            "correct the port: 50052 is a collector's, 50051 a sensor's",
            "it has none of the services that are asked here");
    }
    return visit->kind != SERVER_UNKNOWN;
}

static void look_at_version(struct visit *visit, const struct view *answer)
{
    const struct record_text version = view_text(answer, "version");
    char text[200] = "";
    struct show show = SHOW_OVER(text);
    const bool is_same = version.length == strlen(NETSCOPE_VERSION) &&
                         memcmp(version.data, NETSCOPE_VERSION, version.length) == 0;

    show_text(&show, "it is version ");
    show_name(&show, version);
    show_text(&show, ", this is %s", NETSCOPE_VERSION);
    add(visit, is_same ? DOCTOR_OK : DOCTOR_WARN, "version",
        "fields that one side does not know are not shown: use the same version", text);
}

/* Of a collector: its clock beside ours. */
static void look_at_clocks(struct visit *visit, const struct view *answer, uint64_t asked_ns)
{
    const uint64_t theirs_ns = view_ns(answer, "time");
    const uint64_t now_ns = clock_wall_ns();
    char text[200] = "", offset[40] = "";
    struct show show = SHOW_OVER(offset);

    if (theirs_ns == 0) {
        return;
    }
    const uint64_t middle_ns = asked_ns + (now_ns - asked_ns) / 2;
    const uint64_t apart_ns = theirs_ns > middle_ns ? theirs_ns - middle_ns : middle_ns - theirs_ns;

    show_duration(&show, apart_ns);
    (void)snprintf(text, sizeof(text), "the clocks here and there are %s apart", offset);
    add(visit, apart_ns > CLOCK_SLACK_NS ? DOCTOR_WARN : DOCTOR_OK, "clock",
        "sudo timedatectl set-ntp true, here and there", text);
}

/* A question that needs the right to look at flows. */
static void look_at_token(struct visit *visit)
{
    const bool is_collector = visit->kind == SERVER_COLLECTOR;
    const uint64_t asked_ns = clock_wall_ns();
    const bool has_token = visit->connection.token[0] != '\0';
    struct answer answer = {0};
    struct error err = {0};
    const enum ctl_exit status = ask(&visit->connection,
                                     is_collector ? SERVICE "CollectorService/GetCollectorStatus"
                                                  : SERVICE "SensorService/GetInfo",
                                     NULL, 0, &answer, &err);
    const char *cure =
        answer.status == RPC_PERMISSION_DENIED
            ? "give the token the right flows (role viewer) in the token file of the server"
        : has_token
            ? "compare the token with the server's (grpc.token_file): it was changed, or is "
              "another server's"
        : is_collector ? "netscope-collector token add NAME --role viewer, then --token-file FILE"
                       : "give --token-file with a token of the sensor's grpc.token_file";

    if (!failed(visit, "token", cure, status, &err)) {
        const struct view view =
            view_of(is_collector ? "GetCollectorStatusResponse" : "GetInfoResponse", answer.bytes,
                    answer.length);

        add(visit, DOCTOR_OK, "token", NULL,
            has_token ? "the token is taken" : "no token is asked for");
        look_at_version(visit, &view);
        if (is_collector) {
            look_at_clocks(visit, &view, asked_ns);
        }
    }
    free(answer.bytes);
}

/* For grpcurl and the like; nothing here needs it. */
static void look_at_reflection(struct visit *visit)
{
    static const uint8_t list_services[] = {0x3a, 0x01, '*'}; /* field 7 */
    struct answer answer = {0};
    struct error err = {0};
    const enum ctl_exit status =
        ask(&visit->connection, REFLECTION, list_services, sizeof(list_services), &answer, &err);

    if (status == CTL_OK && answer.length > 0) {
        add(visit, DOCTOR_OK, "reflection", NULL, "it explains itself to grpcurl");
    } else {
        add(visit, DOCTOR_WARN, "reflection", "give grpcurl the .proto files (-proto)",
            err.code != 0 ? err.message : "it does not explain itself to grpcurl");
    }
    free(answer.bytes);
}

static void ask_all(struct visit *visit, const char *server)
{
    struct ctl_settings settings = visit->ctl->settings;
    struct error err = {0};

    settings.server = server;
    const enum ctl_exit status = connection_open(&visit->connection, &settings, &err);

    if (!failed(visit, "settings", NULL, status, &err) && look_at_health(visit)) {
        look_at_token(visit);
        look_at_reflection(visit);
    }
    connection_close(&visit->connection);
}

/* ---- the report ---- */

static enum ctl_exit print(struct visit *visit, struct error *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&text, &length);

    if (memory == NULL) {
        (void)error_set(err, errno, "no memory for the report");
        return CTL_FAILED;
    }
    doctor_print(&visit->doctor, visit->ctl->options.form == FORM_JSON, memory);
    (void)fclose(memory);
    output_write(&visit->ctl->out, text, length);
    free(text);
    return doctor_status(&visit->doctor) == 0 ? CTL_OK
           : visit->status != CTL_OK          ? visit->status
                                              : CTL_UNREACHED;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    const struct ctl_settings *s = &ctl->settings;
    const char *server = s->server;
    struct visit visit = {.ctl = ctl};

    look_at_files(&visit.doctor, s);
    visit.status = doctor_status(&visit.doctor) == 0 ? CTL_OK : CTL_USAGE;
    if (server[0] == '\0') {
        server = find_server(&visit.doctor, s);
    } else {
        connect_to(&visit.doctor, s, server);
    }
    if (server != NULL && doctor_status(&visit.doctor) == 0) {
        ask_all(&visit, server);
    }
    doctor_clock(&visit.doctor);
    const enum ctl_exit status = print(&visit, err);

    doctor_fini(&visit.doctor);
    return status;
}

const struct ctl_command doctor_command = {
    .name = "doctor",
    .bit = FOR_DOCTOR,
    .summary = "why a server cannot be asked: name, connection, TLS, token, step by step",
    .examples =
        "  netscopectl doctor\n"
        "  netscopectl doctor -s collector.example:50052 --tls-ca ca.pem --token-file token\n"
        "\nIt stops at the first step that fails and names what cures it. The exit status is that "
        "of\n"
        "the step: 2 a file of the settings, 3 the way there and TLS, 4 the token.\n",
    .run = run,
};
