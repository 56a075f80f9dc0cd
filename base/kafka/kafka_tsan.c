/* Only in builds with the thread sanitizer: librdkafka starts its threads by C11's thrd_create(),
 * which the sanitizer of GCC 12 does not know; such a thread ends in a crash at its first malloc()
 * that the sanitizer sees. These stand in front of libc's. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
    thrd_start_t function;
    void *argument;
};

static void *run(void *context)
{
    const struct start start = *(struct start *)context;

    free(context);
    return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof(*start));

    if (start == NULL) {
        return thrd_nomem;
    }
    *start = (struct start){function, argument};
    const int code = pthread_create(thread, NULL, run, start);

    if (code != 0) {
        free(start);
    }
    return code == 0 ? thrd_success : code == ENOMEM ? thrd_nomem : thrd_error;
}

int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;

    if (pthread_join(thread, &value) != 0) {
        return thrd_error;
    }
    if (result != NULL) {
        *result = (int)(intptr_t)value;
    }
    return thrd_success;
}
