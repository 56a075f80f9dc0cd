/* A Kafka cluster for tests, in a process of its own: librdkafka's mock brokers on loopback ports.
 *
 *     kafka-mock [BROKERS]
 *
 * Prints the bootstrap servers, then answers each line of stdin with "ok" or "error ...":
 *   topic NAME PARTITIONS | down N | up N | rtt N MS | err APIKEY CODE COUNT |
 *   leader TOPIC PARTITION N | quit
 * N = 0 means every broker. err: the next COUNT requests of that kind are answered with CODE and
 * not carried out (0 = Produce, 3 = Metadata). End of input ends it too. The mock keeps about 5 MB
 * a partition, so consumers must run beside the producer. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BROKERS_MAX 16
#define WORDS_MAX   4

struct cluster {
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *mock;
    int brokers;
};

static long number(const char *text)
{
    return text == NULL ? 0 : strtol(text, NULL, 10);
}

static rd_kafka_resp_err_t on_broker(struct cluster *cluster, const char *verb, int broker, int ms)
{
    if (strcmp(verb, "down") == 0) {
        return rd_kafka_mock_broker_set_down(cluster->mock, broker);
    }
    if (strcmp(verb, "up") == 0) {
        return rd_kafka_mock_broker_set_up(cluster->mock, broker);
    }
    return rd_kafka_mock_broker_set_rtt(cluster->mock, broker, ms);
}

static rd_kafka_resp_err_t push_errors(struct cluster *cluster, int api_key, int code, long count)
{
    const rd_kafka_resp_err_t error = (rd_kafka_resp_err_t)code;

    for (long i = 0; i < count; i++) {
        rd_kafka_mock_push_request_errors_array(cluster->mock, (int16_t)api_key, 1, &error);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* False: no such command. */
static bool obey(struct cluster *cluster, char *const words[WORDS_MAX], rd_kafka_resp_err_t *result)
{
    const char *verb = words[0];
    const int first = (int)number(words[1]);

    if (strcmp(verb, "topic") == 0 && words[2] != NULL) {
        *result = rd_kafka_mock_topic_create(cluster->mock, words[1], (int)number(words[2]),
                                             cluster->brokers);
    } else if (strcmp(verb, "leader") == 0 && words[3] != NULL) {
        *result = rd_kafka_mock_partition_set_leader(
            cluster->mock, words[1], (int32_t)number(words[2]), (int32_t)number(words[3]));
    } else if (strcmp(verb, "err") == 0 && words[3] != NULL) {
        *result = push_errors(cluster, first, (int)number(words[2]), number(words[3]));
    } else if ((strcmp(verb, "down") == 0 || strcmp(verb, "up") == 0 || strcmp(verb, "rtt") == 0) &&
               words[1] != NULL) {
        const int last = first == 0 ? cluster->brokers : first;

        *result = RD_KAFKA_RESP_ERR_NO_ERROR;
        for (int n = first == 0 ? 1 : first; n <= last && *result == 0; n++) {
            *result = on_broker(cluster, verb, n, (int)number(words[2]));
        }
    } else {
        return false;
    }
    return true;
}

static void serve(struct cluster *cluster)
{
    char line[512];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *words[WORDS_MAX] = {NULL};
        char *rest = NULL;
        int count = 0;
        rd_kafka_resp_err_t result = RD_KAFKA_RESP_ERR_NO_ERROR;

        for (char *word = strtok_r(line, " \r\n", &rest); word != NULL && count < WORDS_MAX;
             word = strtok_r(NULL, " \r\n", &rest)) {
            words[count++] = word;
        }
        if (count == 0) {
            continue;
        }
        if (strcmp(words[0], "quit") == 0) {
            return;
        }
        if (!obey(cluster, words, &result)) {
            printf("error unknown command %s\n", words[0]);
        } else if (result != RD_KAFKA_RESP_ERR_NO_ERROR) {
            printf("error %s\n", rd_kafka_err2str(result));
        } else {
            printf("ok\n");
        }
    }
}

int main(int argc, char **argv)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct cluster cluster = {.brokers = argc > 1 ? (int)number(argv[1]) : 3};

    if (cluster.brokers < 1 || cluster.brokers > BROKERS_MAX) {
        fprintf(stderr, "kafka-mock: 1 to %d brokers\n", BROKERS_MAX);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    /* The handle that carries the cluster connects to nothing, and says so. */
    (void)rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    cluster.handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (cluster.handle == NULL) {
        fprintf(stderr, "kafka-mock: %s\n", reason);
        return 1;
    }
    cluster.mock = rd_kafka_mock_cluster_new(cluster.handle, cluster.brokers);
    if (cluster.mock == NULL) {
        fprintf(stderr, "kafka-mock: no cluster\n");
        return 1;
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster.mock));
    serve(&cluster);
    rd_kafka_mock_cluster_destroy(cluster.mock);
    rd_kafka_destroy(cluster.handle);
    return 0;
}
