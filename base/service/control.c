#include "base/service/control.h"

void control_init(struct control *control)
{
    *control = (struct control){0};
    (void)pthread_mutex_init(&control->lock, NULL);
    control->end = &control->first;
}

bool control_ask(struct control *control, struct control_request *request)
{
    request->next = NULL;
    (void)pthread_mutex_lock(&control->lock);
    const bool is_taken = !control->is_closed;

    if (is_taken) {
        *control->end = request;
        control->end = &request->next;
    }
    (void)pthread_mutex_unlock(&control->lock);
    return is_taken;
}

struct control_request *control_take(struct control *control)
{
    (void)pthread_mutex_lock(&control->lock);
    struct control_request *request = control->first;

    if (request != NULL) {
        control->first = request->next;
        if (control->first == NULL) {
            control->end = &control->first;
        }
    }
    (void)pthread_mutex_unlock(&control->lock);
    return request;
}

void control_close(struct control *control)
{
    struct control_request *request;

    (void)pthread_mutex_lock(&control->lock);
    control->is_closed = true;
    (void)pthread_mutex_unlock(&control->lock);
    while ((request = control_take(control)) != NULL) {
        request->is_over = true;
        request->answer(request);
    }
}
