#include "include/moult_pointwise.h"

#include "foundation/body.h"
#include "foundation/scratch.h"

enum {
    /// Elements that are worked on at once: as many as all registers hold in the first cache.
    most_block = 1024,
    least_block = 128,
    register_floats = 8192,
    /// Elements of a chunk of rows with sums, at least, and chunks at most.
    chunk_elements = 16384,
    most_chunks = 128,
    most_places = 1024,
};

/// What all threads know of one call. Elements stand in `rows` of `columns`, which the sums divide.
struct job {
    const struct moult_pointwise *expression;
    int64_t block, rows, columns, chunk_rows;
    float *registers;  // of every thread: `registers` of the expression and one for each input that is spread out
    int64_t thread_floats;
    float *parts;  // of every chunk: `columns` for each sum over rows
    int64_t part_floats;
};

static bool is_whole(int64_t inner, int64_t count, int64_t all) { return inner == 1 && count == all; }

/// Whether elements of one row, and of no other, make up each sum.
static bool is_within_rows(const struct moult_pointwise_sum *sum, int64_t all) {
    return sum->inner * sum->count == all;
}

/// `count` elements of an input from element `first` on: where they stand, or spread out into `room`.
static const float *elements(const struct moult_pointwise_input *input, int64_t first, int64_t count, float *room) {
    int64_t index = first / input->inner % input->count;
    if (input->inner == 1 && index + count <= input->count) return input->values + index;
    int64_t run = input->inner - first % input->inner;
    for (int64_t at = 0; at < count; run = input->inner) {
        if (input->inner == 1) {
            run = input->count - index;
            if (run > count - at) run = count - at;
            memcpy(room + at, input->values + index, (size_t)run * sizeof *room);
            index = 0;
        } else {
            if (run > count - at) run = count - at;
            const float value = input->values[index];
            for (int64_t i = 0; i < run; i++) room[at + i] = value;
            index = index + 1 == input->count ? 0 : index + 1;
        }
        at += run;
    }
    return room;
}

/// Adds `count` elements from element `first` on.
static void add_up(
    const struct moult_pointwise_sum *sum, const float *x, int64_t first, int64_t count, int64_t all, int64_t columns,
    float *part
) {
    const struct moult_kernels *kernels = moult_kernels();
    if (is_within_rows(sum, all)) {
        for (int64_t at = 0; at < count;) {
            int64_t index = (first + at) / sum->inner, run = (index + 1) * sum->inner - first - at;
            if (run > count - at) run = count - at;
            sum->sums[index] += kernels->row_sum(x + at, run);
            at += run;
        }
        return;
    }
    for (int64_t at = 0; at < count;) {
        int64_t column = (first + at) % columns, run = columns - column;
        if (run > count - at) run = count - at;
        kernels->add_scaled(x + at, 1, part + column, run);
        at += run;
    }
}

/// The expression over elements first..<first + count, at most a block; `part` receives sums over rows.
static void run_block(const struct job *job, int64_t first, int64_t count, int thread, float *part) {
    const struct moult_pointwise *e = job->expression;
    float *places[most_places];
    float *room = job->registers + thread * job->thread_floats;
    for (int32_t i = 0; i < e->inputs; i++) {
        const struct moult_pointwise_input *input = &e->input[i];
        // Inputs are read only.
        if (is_whole(input->inner, input->count, e->count)) {
            places[i] = (float *)input->values + first;
        } else {
            places[i] = (float *)elements(input, first, count, room);
            room += job->block;
        }
    }
    for (int32_t i = 0; i < e->results; i++) places[e->inputs + i] = e->result[i] + first;
    for (int32_t i = 0; i < e->registers; i++) places[e->inputs + e->results + i] = room + i * job->block;
    moult_kernels()->pointwise(e->step, e->steps, places, count);
    for (int32_t i = 0; i < e->sums; i++) {
        add_up(&e->sum[i], places[e->sum[i].place], first, count, e->count, job->columns, part);
        if (!is_within_rows(&e->sum[i], e->count)) part += job->columns;
    }
}

BODY(element_body) {
    JOB(job);
    for (int64_t first = begin; first < end; first += job->block) {
        run_block(job, first, end - first < job->block ? end - first : job->block, thread, NULL);
    }
}

/// `begin` and `end` count chunks of rows. A block lies in one row, or holds several whole ones.
BODY(rows_body) {
    JOB(job);
    for (int64_t chunk = begin; chunk < end; chunk++) {
        int64_t row = chunk * job->chunk_rows, rows = job->chunk_rows;
        if (rows > job->rows - row) rows = job->rows - row;
        float *part = job->parts + chunk * job->part_floats;
        memset(part, 0, (size_t)job->part_floats * sizeof *part);
        int64_t together = job->block / job->columns, first = row * job->columns, last = first + rows * job->columns;
        while (first < last) {
            int64_t count = together > 0 ? together * job->columns : job->block;
            int64_t left = together > 0 ? last - first : job->columns - first % job->columns;
            if (count > left) count = left;
            run_block(job, first, count, thread, part);
            first += count;
        }
    }
}

/// Sums over rows: the chunks' parts, in order, and then what of a row belongs together.
static void join_parts(const struct job *job, int64_t chunks, float *totals) {
    const struct moult_pointwise *e = job->expression;
    memset(totals, 0, (size_t)job->part_floats * sizeof *totals);
    moult_column_sums(job->parts, chunks, job->part_floats, totals);
    for (int32_t i = 0; i < e->sums; i++) {
        const struct moult_pointwise_sum *sum = &e->sum[i];
        if (is_within_rows(sum, e->count)) continue;
        for (int64_t j = 0; j < sum->count; j++) {
            double total = 0;
            for (int64_t at = j * sum->inner; at < job->columns; at += sum->inner * sum->count) {
                for (int64_t k = 0; k < sum->inner; k++) total += totals[at + k];
            }
            sum->sums[j] = (float)total;
        }
        totals += job->columns;
    }
}

/// Sets the size of blocks and of what they take beside inputs and results.
static void set_blocks(struct job *job) {
    const struct moult_pointwise *e = job->expression;
    int64_t rooms = e->registers;
    for (int32_t i = 0; i < e->inputs; i++) rooms += !is_whole(e->input[i].inner, e->input[i].count, e->count);
    job->block = most_block;
    while (job->block > least_block && job->block * rooms > register_floats) job->block /= 2;
    job->thread_floats = rooms * job->block;
}

bool moult_pointwise_part(const struct moult_pointwise *e, int64_t begin, int64_t end) {
    struct job job = {.expression = e, .columns = 1};
    set_blocks(&job);
    job.registers = moult_scratch((size_t)(job.thread_floats + 1) * sizeof(float));
    if (!job.registers) return false;
    element_body(&job, begin, end, 0);
    return true;
}

enum moult_status moult_pointwise(const struct moult_pointwise *e) {
    struct job job = {.expression = e, .columns = 1};
    int64_t over_rows = 0;
    for (int32_t i = 0; i < e->sums; i++) {
        const struct moult_pointwise_sum *sum = &e->sum[i];
        bool within = is_within_rows(sum, e->count);
        int64_t extent = within ? sum->inner : sum->inner * sum->count;
        if (extent > job.columns) job.columns = extent;
        over_rows += !within;
        memset(sum->sums, 0, (size_t)sum->count * sizeof *sum->sums);
    }
    if (e->count == 0) return moult_success;
    set_blocks(&job);
    job.part_floats = over_rows * job.columns;
    job.rows = e->count / job.columns;
    job.chunk_rows = chunk_elements / job.columns;
    if (job.chunk_rows * most_chunks < job.rows) job.chunk_rows = (job.rows + most_chunks - 1) / most_chunks;
    if (job.chunk_rows < 1) job.chunk_rows = 1;
    int64_t chunks = (job.rows + job.chunk_rows - 1) / job.chunk_rows;
    int64_t floats = moult_thread_count() * job.thread_floats + (chunks + 1) * job.part_floats;
    float *memory = moult_call_scratch((size_t)(floats + 1) * sizeof *memory);
    if (!memory) return moult_out_of_memory;
    job.registers = memory;
    job.parts = memory + moult_thread_count() * job.thread_floats;
    if (e->sums == 0) {
        moult_parallel_for(e->count, costly_grain, element_body, &job);
        return moult_success;
    }
    moult_parallel_for(chunks, 1, rows_body, &job);
    if (over_rows > 0) join_parts(&job, chunks, job.parts + chunks * job.part_floats);
    return moult_success;
}
