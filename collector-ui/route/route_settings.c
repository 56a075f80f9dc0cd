/* Settings of the receivers: one row is the whole truth. */
#include <stdlib.h>

#include "collector-ui/route/route_internal.h"

const struct config_field route_fields[] = {
    {.type = CONFIG_BYTES,
     .key = "queue_size",
     .offset = offsetof(struct route_settings, queue_bytes),
     .value = "64MiB",
     .min = 1048576,
     .max = 1099511627776,
     .help = "Disk for alerts that wait for receivers; when it is full, the oldest are lost and "
             "counted."},
    {.type = CONFIG_U64,
     .key = "incidents_max",
     .offset = offsetof(struct route_settings, incidents_max),
     .value = "4096",
     .min = 16,
     .max = 65536,
     .help = "Incidents of which each receiver's past is remembered; one that is forgotten is told "
             "again."},
    {.type = CONFIG_DURATION,
     .key = "forget_after",
     .offset = offsetof(struct route_settings, forget_ns),
     .value = "72h",
     .max = 3.1536e16,
     .help = "An open incident of which nothing new has come for so long is not told again."},
    {.key = NULL}};

#define FIELD(member) offsetof(struct route_receiver_settings, member)

static const struct config_field receiver_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "url",
     .offset = FIELD(url),
     .value = "",
     .max = ROUTE_URL_BYTES - 1,
     .help = "Where alerts go: https://HOST/PATH or http:// (webhook), udp://HOST:514, "
             "tcp://HOST:601, tls://HOST:6514 or unix:/dev/log (syslog), or "
             "kafka://BROKER:9092,BROKER:9092/TOPIC."},
    {.type = CONFIG_TEXT,
     .key = "url_file",
     .offset = FIELD(url_file),
     .value = "",
     .max = 4095,
     .help = "File (mode 0600) with the URL, in place of url, where that is a secret itself, as a "
             "chat's; read at the start."},
    {.type = CONFIG_TEXT,
     .key = "token_file",
     .offset = FIELD(token_file),
     .value = "",
     .max = 4095,
     .help =
         "File (mode 0600) that holds a bearer token for the webhook, read for each message, or "
         "the SASL password for Kafka."},
    {.type = CONFIG_TEXT,
     .key = "ca_file",
     .offset = FIELD(ca_file),
     .value = "",
     .max = 4095,
     .help = "PEM file of the authorities that may have signed the receiver's certificate; empty: "
             "the system's."},
    {.type = CONFIG_CHOICE,
     .key = "format",
     .offset = FIELD(format),
     .value = "auto",
     .choices = "auto|json|protobuf|slack|alertmanager|text|cef",
     .help = "How an alert is written: json (the AlertRecord), slack or alertmanager by webhook; "
             "text, json or cef by syslog; protobuf or json to Kafka; auto: the first of each."},
    {.type = CONFIG_U64,
     .key = "facility",
     .offset = FIELD(facility),
     .value = "16",
     .max = 23,
     .help = "Facility of syslog messages (RFC 5424); 16 is local0."},
    {.type = CONFIG_CHOICE,
     .key = "min_severity",
     .offset = FIELD(min_severity),
     .value = "info",
     .choices = "info|low|medium|high|critical",
     .help = "Only alerts of this severity or above."},
    {.type = CONFIG_CHOICE,
     .key = "scope",
     .offset = FIELD(scope),
     .value = "any",
     .choices = "any|sensor|fleet",
     .help = "Only alerts that single sensors found (sensor), or only those that all sensors "
             "together show (fleet)."},
    {.type = CONFIG_LIST,
     .key = "kinds",
     .offset = FIELD(kinds),
     .value = "",
     .help = "Only these kinds of alert, such as syn_flood; empty: all."},
    {.type = CONFIG_LIST,
     .key = "subjects",
     .offset = FIELD(subjects),
     .value = "",
     .help = "Only alerts with an attacker or victim in these networks; empty: all."},
    {.type = CONFIG_LIST,
     .key = "sensors",
     .offset = FIELD(sensors),
     .value = "",
     .help = "Only alerts of these sensors, and of the fleet where one of them took part; empty: "
             "all."},
    {.type = CONFIG_BOOL,
     .key = "on_close",
     .offset = FIELD(on_close),
     .value = "true",
     .help = "Tell also when an incident is over."},
    {.type = CONFIG_DURATION,
     .key = "repeat_interval",
     .offset = FIELD(repeat_ns),
     .value = "4h",
     .max = 2.592e15,
     .help = "An incident that goes on is told again after so long; 0s: never."},
    {.type = CONFIG_DURATION,
     .key = "timeout",
     .offset = FIELD(timeout_ns),
     .value = "10s",
     .min = 1e8,
     .max = 3e11,
     .help = "Longest time that one try to deliver may take."},
    {.type = CONFIG_DURATION,
     .key = "retry_for",
     .offset = FIELD(retry_ns),
     .value = "24h",
     .max = 2.592e15,
     .help = "An alert that could not be delivered for so long is given up and counted."},
    {.type = CONFIG_MAP,
     .key = "properties",
     .offset = FIELD(properties),
     .value = "",
     .help = "Kafka: further properties of librdkafka, such as security.protocol."},
    {.key = NULL}};

int route_add_settings(struct config *config, struct route_settings *settings, struct error *err)
{
    settings->named = (struct config_named){
        .path = "receivers",
        .fields = receiver_fields,
        .help = "Who is told of alerts, each under a name of your choice (docs/alert-routing.md).",
        .names_max = ROUTE_RECEIVERS_MAX,
        .names = settings->names,
        .settings = settings->receivers,
        .bytes = sizeof(settings->receivers[0]),
    };
    return config_add_named(config, &settings->named, err);
}

int route_check(const struct route_settings *settings, struct error *err)
{
    int result = 0;

    for (int i = 0; i < ROUTE_RECEIVERS_MAX && settings->names[i] != NULL && result == 0; i++) {
        result = route_receiver_check(settings->names[i], &settings->receivers[i], err);
    }
    return result;
}
