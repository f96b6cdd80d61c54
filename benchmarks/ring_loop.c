/* The physical limit: one thread pushes packets into a ring and pops them again, and does nothing else.
 *
 *     ring_loop PACKETS BYTES
 *
 * prints how many packets a second it pushed and popped. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CAPACITY 0x400000u
#define MASK (CAPACITY - 1)
#define BATCH 16u

static uint8_t ring[12 + CAPACITY + 0x10000];
static uint8_t packet[0x10000], taken[0x10000];

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    const uint64_t packets = strtoull(arguments[1], NULL, 10);
    const uint32_t size = (uint32_t)strtoul(arguments[2], NULL, 10);
    if (!packets || !size || size > 0xFFFF)
        return 2;
    volatile uint32_t *head = (volatile uint32_t *)ring, *tail = head + 1;
    uint8_t *const data = ring + 12;
    const uint32_t stored = (size + 7) & ~3u;
    uint64_t pushed = 0, popped = 0, sum = 0;
    struct timespec start, end;
    memset(packet, 0x45, sizeof packet);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (popped < packets) {
        for (uint32_t n = 0; n < BATCH && pushed < packets; ++n) {
            const uint32_t at = *tail;
            if (((*head - at - 4) & MASK) < stored)
                break;
            memcpy(data + at, &size, 4);
            memcpy(data + at + 4, packet, size);
            *tail = (at + stored) & MASK;
            ++pushed;
        }
        while (*head != *tail) {
            uint32_t bytes;
            memcpy(&bytes, data + *head, 4);
            memcpy(taken, data + *head + 4, bytes);
            sum += taken[bytes - 1];
            *head = (*head + ((bytes + 7) & ~3u)) & MASK;
            ++popped;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    if (sum != packets * 0x45)
        return 1;
    printf("%.0f\n", (double)packets / seconds);
    return 0;
}
