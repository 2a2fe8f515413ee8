#include "include/moult_convert.h"

#include "foundation/body.h"
#include "foundation/numbers.h"

struct conversion {
    const char *from;
    char *to;
    enum moult_type from_type, to_type;
};

BODY(convert_body) {
    JOB(conversion);
    const struct moult_kernels *kernels = moult_kernels();
    const char *from = job->from + begin * size_of(job->from_type);
    char *to = job->to + begin * size_of(job->to_type);
    if (job->from_type == job->to_type) {
        memcpy(to, from, (size_t)((end - begin) * size_of(job->to_type)));
    } else if (job->to_type == moult_float32) {
        kernels->widen(from, job->from_type, (float *)to, end - begin);
    } else if (job->from_type == moult_float32) {
        kernels->narrow((const float *)from, job->to_type, (uint16_t *)to, end - begin);
    } else {
        float wide[512];
        for (int64_t i = 0; i < end - begin; i += 512) {
            int64_t some = end - begin - i < 512 ? end - begin - i : 512;
            kernels->widen(from + i * 2, job->from_type, wide, some);
            kernels->narrow(wide, job->to_type, (uint16_t *)to + i, some);
        }
    }
}

void moult_convert(const void *from, enum moult_type from_type, void *to, enum moult_type to_type, int64_t count) {
    struct conversion job = {from, to, from_type, to_type};
    moult_parallel_for(count, grain, convert_body, &job);
}
