/* What a filter says of sensors alone. */
#include <string.h>

#include "proto/filter/filter_tree.h"

enum verdict { NEVER, PERHAPS, ALWAYS };

static enum verdict ask(const struct filter_node *node, struct record_text sensor)
{
    enum verdict left, right;

    switch (node->type) {
    case NODE_TERM:
        if (node->field != FIELD_SENSOR) {
            return PERHAPS;
        }
        return filter_text_matches(sensor, node, node->compare == OPERATOR_HAS) ? ALWAYS : NEVER;
    case NODE_NOT:
        return (enum verdict)(ALWAYS - ask(node->left, sensor));
    default:
        break;
    }
    left = ask(node->left, sensor);
    right = ask(node->right, sensor);
    if (node->type == NODE_AND) {
        return left < right ? left : right;
    }
    return left > right ? left : right;
}

bool filter_admits_sensor(const struct filter *filter, const char *sensor_id)
{
    const struct record_text sensor = {sensor_id, (uint32_t)strlen(sensor_id)};

    return filter->root == NULL || ask(filter->root, sensor) != NEVER;
}
