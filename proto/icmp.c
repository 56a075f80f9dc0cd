#include "proto/icmp.h"

#include <stdbool.h>

#define ICMP_V6 58

int icmp_counterpart(uint8_t protocol, uint8_t type)
{
    static const uint8_t pairs_4[][2] = {{0, 8},   {8, 0},   {9, 10},  {10, 9},  {13, 14},
                                         {14, 13}, {15, 16}, {16, 15}, {17, 18}, {18, 17}};
    static const uint8_t pairs_6[][2] = {{128, 129}, {129, 128}, {130, 131}, {131, 130},
                                         {133, 134}, {134, 133}, {135, 136}, {136, 135},
                                         {139, 140}, {140, 139}, {144, 145}, {145, 144}};
    const bool is_6 = protocol == ICMP_V6;
    const uint8_t(*pairs)[2] = is_6 ? pairs_6 : pairs_4;
    const unsigned count = is_6 ? sizeof(pairs_6) / 2 : sizeof(pairs_4) / 2;

    for (unsigned i = 0; i < count; i++) {
        if (pairs[i][0] == type) {
            return pairs[i][1];
        }
    }
    return -1;
}
