// Taking heads apart and joining them. x (R, N, width): N key/value heads, or the query heads of each side by side. A head's
// place among those of a set, or among the rest, is the number of them below it.
#include "eight.cuh"

// A thread moves eight elements: grid ceil(R · N · ceil(width / 8) / 256), block 256. Head h is in `set` when bit h is 1;
// N <= 64.

struct HeadPart {
    int64_t row, all, some;   // elements before it among all heads and among those of its kind
    bool member;
    int32_t left;             // elements of its head from it on

    __device__ HeadPart(uint64_t set, int32_t heads, int32_t width) {
        const int32_t parts = (width + 7) / 8, column = first_of_eight() / 8 % parts * 8;
        const int64_t unit = first_of_eight() / 8 / parts;
        const int32_t head = unit % heads, members = __popcll(set);
        row = unit / heads;
        member = set >> head & 1;
        const int32_t place = __popcll((member ? set : ~set) & ((uint64_t(1) << head) - 1));
        all = (row * heads + head) * width + column;
        some = (row * (member ? members : heads - members) + place) * width + column;
        left = width - column;
    }
};

/// out (R, n, width) = the heads of the set.
__global__ void pick_heads(const bf16* x, bf16* out, uint64_t set, int32_t rows, int32_t heads, int32_t width) {
    const HeadPart part(set, heads, width);
    if (part.row >= rows || !part.member) return;
    const bool aligned = width % 8 == 0;
    store_eight(out + part.some, load_eight(x + part.all, part.left, aligned), part.left, aligned);
}

/// out (R, N, width) = `some` (R, n, width) as the heads of the set and `others` (R, N - n, width) as the rest; zeros for
/// what is null.
__global__ void join_heads(
    const bf16* some, const bf16* others, bf16* out, uint64_t set, int32_t rows, int32_t heads, int32_t width) {
    const HeadPart part(set, heads, width);
    if (part.row >= rows) return;
    const bool aligned = width % 8 == 0;
    const bf16* from = part.member ? some : others;
    const Eight value = from ? load_eight(from + part.some, part.left, aligned) : Eight{};
    store_eight(out + part.all, value, part.left, aligned);
}
