/* Changes of a server that runs: handed to the rpc thread, which owns all that they touch. */
#include <stdio.h>
#include <stdlib.h>

#include "sensor/export/grpc_private.h"

struct grpc_retune {
    char config_hash[17];
    uint64_t idle_timeout_ns, active_timeout_ns;
};

static void take_up(struct grpc_server *server)
{
    struct grpc_retune *own = atomic_exchange(&grpc_sensor_of(server)->retune, NULL);

    if (own == NULL) {
        return; /* an earlier task has taken the newest */
    }
    (void)snprintf(grpc_sensor_of(server)->config_hash, sizeof(grpc_sensor_of(server)->config_hash),
                   "%s", own->config_hash);
    grpc_sensor_of(server)->identity.config_hash = grpc_sensor_of(server)->config_hash;
    grpc_sensor_of(server)->identity.idle_timeout_ns = own->idle_timeout_ns;
    grpc_sensor_of(server)->identity.active_timeout_ns = own->active_timeout_ns;
    free(own);
}

void grpc_server_retune(struct grpc_server *server, const struct grpc_tuning *tuning)
{
    struct grpc_retune *own = calloc(1, sizeof(*own));

    if (own == NULL) {
        return; /* answers go on with what was before */
    }
    (void)snprintf(own->config_hash, sizeof(own->config_hash), "%s", tuning->config_hash);
    own->idle_timeout_ns = tuning->idle_timeout_ns;
    own->active_timeout_ns = tuning->active_timeout_ns;
    free(atomic_exchange(&grpc_sensor_of(server)->retune, own));
    grpc_post(server, take_up);
}
