// Where a ring of W places has the key and value of a position: the first `sinks` stay, the others take turns.
#pragma once
#include "device.cuh"

/// The place of `position`; W > sinks where position is not among the sinks.
template <typename Position> __device__ Position ring_place(Position position, int32_t capacity, int32_t sinks) {
    return position < sinks ? position : sinks + (position - sinks) % (capacity - sinks);
}
