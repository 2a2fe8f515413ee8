#include "products.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

// cuBLASLt, with its choice of algorithm kept for every shape.

typedef void *cublasLtHandle, *cublasLtDescriptor;
enum {
    real_32f = 0, real_16bf = 14, compute_32f = 68, description_transpose_a = 3, description_transpose_b = 4,
    description_epilogue = 7, description_bias = 8, epilogue_bias = 4, preference_workspace = 1,
};
/// cublasLtMatmulHeuristicResult_t.
struct choice {
    uint64_t algorithm[8];
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
};

#define PRODUCT_FUNCTIONS(F)                                                                                           \
    F(cublasLtCreate, (cublasLtHandle*))                                                                               \
    F(cublasLtMatmulDescCreate, (cublasLtDescriptor*, int, int))                                                       \
    F(cublasLtMatmulDescSetAttribute, (cublasLtDescriptor, int, const void*, size_t))                                  \
    F(cublasLtMatrixLayoutCreate, (cublasLtDescriptor*, int, uint64_t, uint64_t, int64_t))                             \
    F(cublasLtMatmulPreferenceCreate, (cublasLtDescriptor*))                                                           \
    F(cublasLtMatmulPreferenceSetAttribute, (cublasLtDescriptor, int, const void*, size_t))                            \
    F(cublasLtMatmulAlgoGetHeuristic,                                                                                  \
      (cublasLtHandle, cublasLtDescriptor, cublasLtDescriptor, cublasLtDescriptor, cublasLtDescriptor,                 \
       cublasLtDescriptor, cublasLtDescriptor, int, struct choice*, int*))                                             \
    F(cublasLtMatmul,                                                                                                  \
      (cublasLtHandle, cublasLtDescriptor, const void*, uint64_t, cublasLtDescriptor, uint64_t, cublasLtDescriptor,    \
       const void*, uint64_t, cublasLtDescriptor, uint64_t, cublasLtDescriptor, const void*, uint64_t, size_t, void*))

#define DECLARE(name, parameters) static int(*name) parameters;
PRODUCT_FUNCTIONS(DECLARE)

/// A product of one shape, ready to run.
struct plan {
    struct moult_cuda_product shape;
    cublasLtDescriptor operation, a, b, d;
    struct choice choice;
    struct plan* next;
};

struct moult_cuda_products {
    cublasLtHandle handle;
    cublasLtDescriptor preference;
    void* stream;
    uint64_t workspace;
    size_t workspace_bytes;
    struct plan* plans[1024];
};

static int open_library(void) {
    if (cublasLtMatmul) return 0;
    void* library = moult_cuda_library(
        (const char* const[]){"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", NULL});
    if (!library) return moult_cuda_fail("libcublasLt.so cannot be loaded: install cuBLAS, version 12 or later");
#define LOAD(name, parameters)                                                                                         \
    if (!(*(void**)&name = dlsym(library, #name))) return moult_cuda_fail("libcublasLt has no " #name);
    PRODUCT_FUNCTIONS(LOAD)
    return 0;
}

int moult_cuda_products_open(
    void* stream, uint64_t workspace, size_t workspace_bytes, struct moult_cuda_products** result) {
    if (open_library()) return 1;
    struct moult_cuda_products* products = calloc(1, sizeof *products);
    if (!products) return moult_cuda_fail("out of memory");
    (products->stream = stream, products->workspace = workspace, products->workspace_bytes = workspace_bytes);
    if (cublasLtCreate(&products->handle) || cublasLtMatmulPreferenceCreate(&products->preference)
        || cublasLtMatmulPreferenceSetAttribute(
            products->preference, preference_workspace, &workspace_bytes, sizeof workspace_bytes)) {
        free(products);
        return moult_cuda_fail("cublasLtCreate failed");
    }
    *result = products;
    return 0;
}

/// What must be equal for a plan to fit: all but the addresses.
static struct moult_cuda_product shape_of(const struct moult_cuda_product* product) {
    struct moult_cuda_product shape;
    memset(&shape, 0, sizeof shape);
    (shape.m = product->m, shape.n = product->n, shape.k = product->k, shape.bias = product->bias != 0);
    (shape.transpose_a = product->transpose_a, shape.transpose_b = product->transpose_b);
    (shape.d_type = product->d_type, shape.beta = product->beta);
    return shape;
}

static int make_plan(
    struct moult_cuda_products* products, struct plan* plan, const struct moult_cuda_product* p) {
    int type = p->d_type == moult_cuda_float32 ? real_32f : real_16bf, count = 0;
    int epilogue = epilogue_bias;
    int failed = cublasLtMatmulDescCreate(&plan->operation, compute_32f, real_32f)
        || cublasLtMatmulDescSetAttribute(plan->operation, description_transpose_a, &p->transpose_a, sizeof(int))
        || cublasLtMatmulDescSetAttribute(plan->operation, description_transpose_b, &p->transpose_b, sizeof(int))
        || (p->bias
            && (cublasLtMatmulDescSetAttribute(plan->operation, description_epilogue, &epilogue, sizeof epilogue)
                || cublasLtMatmulDescSetAttribute(plan->operation, description_bias, &p->bias, sizeof p->bias)))
        || cublasLtMatrixLayoutCreate(
            &plan->a, real_16bf, (uint64_t)(p->transpose_a ? p->k : p->m), (uint64_t)(p->transpose_a ? p->m : p->k),
            p->transpose_a ? p->k : p->m)
        || cublasLtMatrixLayoutCreate(
            &plan->b, real_16bf, (uint64_t)(p->transpose_b ? p->n : p->k), (uint64_t)(p->transpose_b ? p->k : p->n),
            p->transpose_b ? p->n : p->k)
        || cublasLtMatrixLayoutCreate(&plan->d, type, (uint64_t)p->m, (uint64_t)p->n, p->m)
        || cublasLtMatmulAlgoGetHeuristic(
            products->handle, plan->operation, plan->a, plan->b, plan->d, plan->d, products->preference, 1,
            &plan->choice, &count);
    return (failed || count == 0)
        && moult_cuda_fail(
               "cublasLtMatmulAlgoGetHeuristic finds no product of m %lld, n %lld, k %lld", (long long)p->m,
               (long long)p->n, (long long)p->k);
}

static struct plan* plan_of(struct moult_cuda_products* products, const struct moult_cuda_product* product) {
    struct moult_cuda_product shape = shape_of(product);
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof shape; i++) key = key * 31 + ((unsigned char*)&shape)[i];
    struct plan** place = &products->plans[key % 1024];
    for (struct plan* plan = *place; plan; plan = plan->next) {
        if (memcmp(&plan->shape, &shape, sizeof shape) == 0) return plan;
    }
    struct plan* plan = calloc(1, sizeof *plan);
    if (!plan || make_plan(products, plan, product)) {
        free(plan);
        return NULL;
    }
    (plan->shape = shape, plan->next = *place, *place = plan);
    return plan;
}

int moult_cuda_multiply(struct moult_cuda_products* products, const struct moult_cuda_product* product) {
    struct plan* plan = plan_of(products, product);
    if (!plan) return 1;
    if (product->bias
        && cublasLtMatmulDescSetAttribute(
            plan->operation, description_bias, &product->bias, sizeof product->bias))
        return moult_cuda_fail("cublasLtMatmulDescSetAttribute failed");
    float alpha = 1;
    int result = cublasLtMatmul(
        products->handle, plan->operation, &alpha, product->a, plan->a, product->b, plan->b, &product->beta, product->d,
        plan->d, product->d, plan->d, plan->choice.algorithm, products->workspace, products->workspace_bytes,
        products->stream);
    return result
        && moult_cuda_fail(
               "cublasLtMatmul of m %lld, n %lld, k %lld: status %d", (long long)product->m, (long long)product->n,
               (long long)product->k, result);
}
