#include "products/onednn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// The part of oneDNN 2's C interface that is used, declared here so that building needs no headers.

typedef int dnnl_status;
typedef struct dnnl_object *dnnl_handle;
/// Room for dnnl_memory_desc_t (696 bytes) and dnnl_matmul_desc_t (2800 bytes), whose contents are not looked at.
typedef struct {
    _Alignas(64) char bytes[4096];
} dnnl_descriptor;
typedef struct {
    int index;
    dnnl_handle memory;
} dnnl_argument;
typedef struct {
    int major, minor, patch;
} dnnl_version_numbers;

enum { dnnl_cpu = 1, dnnl_bf16 = 2, dnnl_f32 = 3, dnnl_source = 1, dnnl_weights = 33, dnnl_destination = 17 };

static struct {
    const dnnl_version_numbers *(*version)(void);
    dnnl_status (*sgemm)(
        char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float, float *,
        int64_t);
    dnnl_status (*engine_create)(dnnl_handle *, int, size_t);
    dnnl_status (*stream_create)(dnnl_handle *, dnnl_handle, unsigned);
    dnnl_status (*stream_wait)(dnnl_handle);
    dnnl_status (*stream_destroy)(dnnl_handle);
    dnnl_status (*memory_desc_init_by_strides)(dnnl_descriptor *, int, const int64_t *, int, const int64_t *);
    dnnl_status (*matmul_desc_init)(
        dnnl_descriptor *, const dnnl_descriptor *, const dnnl_descriptor *, const dnnl_descriptor *,
        const dnnl_descriptor *);
    dnnl_status (*primitive_attr_create)(dnnl_handle *);
    dnnl_status (*primitive_attr_set_post_ops)(dnnl_handle, dnnl_handle);
    dnnl_status (*primitive_attr_destroy)(dnnl_handle);
    dnnl_status (*post_ops_create)(dnnl_handle *);
    dnnl_status (*post_ops_append_sum)(dnnl_handle, float);
    dnnl_status (*post_ops_destroy)(dnnl_handle);
    dnnl_status (*primitive_desc_create)(dnnl_handle *, const void *, dnnl_handle, dnnl_handle, dnnl_handle);
    dnnl_status (*primitive_desc_destroy)(dnnl_handle);
    dnnl_status (*primitive_create)(dnnl_handle *, dnnl_handle);
    dnnl_status (*primitive_destroy)(dnnl_handle);
    dnnl_status (*primitive_execute)(dnnl_handle, dnnl_handle, int, const dnnl_argument *);
    dnnl_status (*memory_create)(dnnl_handle *, const dnnl_descriptor *, dnnl_handle, void *);
    dnnl_status (*memory_set_data_handle)(dnnl_handle, void *);
    dnnl_status (*memory_destroy)(dnnl_handle);
    void (*omp_set_num_threads)(int);  // missing where the library was built without OpenMP
    dnnl_handle engine;
    pthread_key_t products;
    bool bfloat16;
    char name[32];
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static atomic_bool switched_off;

static bool processor_has_bfloat16(void) {
#if defined(__x86_64__)
    uint32_t a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 16)) return false;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
#else
    return false;
#endif
}

static void free_products(void *memory);

static void load(void) {
    const char *wish = getenv("MOULT_ONEDNN");
    if (wish && strcmp(wish, "0") == 0) return;
    void *handle = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!handle) return;
    const struct {
        const char *name;
        void *target;
    } symbols[] = {
        {"dnnl_version", &library.version},
        {"dnnl_sgemm", &library.sgemm},
        {"dnnl_engine_create", &library.engine_create},
        {"dnnl_stream_create", &library.stream_create},
        {"dnnl_stream_wait", &library.stream_wait},
        {"dnnl_stream_destroy", &library.stream_destroy},
        {"dnnl_memory_desc_init_by_strides", &library.memory_desc_init_by_strides},
        {"dnnl_matmul_desc_init", &library.matmul_desc_init},
        {"dnnl_primitive_attr_create", &library.primitive_attr_create},
        {"dnnl_primitive_attr_set_post_ops", &library.primitive_attr_set_post_ops},
        {"dnnl_primitive_attr_destroy", &library.primitive_attr_destroy},
        {"dnnl_post_ops_create", &library.post_ops_create},
        {"dnnl_post_ops_append_sum", &library.post_ops_append_sum},
        {"dnnl_post_ops_destroy", &library.post_ops_destroy},
        {"dnnl_primitive_desc_create", &library.primitive_desc_create},
        {"dnnl_primitive_desc_destroy", &library.primitive_desc_destroy},
        {"dnnl_primitive_create", &library.primitive_create},
        {"dnnl_primitive_destroy", &library.primitive_destroy},
        {"dnnl_primitive_execute", &library.primitive_execute},
        {"dnnl_memory_create", &library.memory_create},
        {"dnnl_memory_set_data_handle", &library.memory_set_data_handle},
        {"dnnl_memory_destroy", &library.memory_destroy},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(handle, symbols[i].name);
        if (!found) return;
        memcpy(symbols[i].target, &found, sizeof found);
    }
    void *found = dlsym(handle, "omp_set_num_threads");
    memcpy(&library.omp_set_num_threads, &found, sizeof found);
    const dnnl_version_numbers *version = library.version();
    if (version->major != 2 || library.engine_create(&library.engine, dnnl_cpu, 0) != 0) return;
    if (pthread_key_create(&library.products, free_products) != 0) return;
    snprintf(library.name, sizeof library.name, "%d.%d.%d", version->major, version->minor, version->patch);
    library.bfloat16 = processor_has_bfloat16();
    loaded = true;
}

static bool in_use(void) {
    pthread_once(&once, load);
    return loaded && !atomic_load_explicit(&switched_off, memory_order_relaxed);
}

const char *moult_onednn_version(void) { return in_use() ? library.name : NULL; }

bool moult_onednn_has_bfloat16(void) { return in_use() && library.bfloat16; }

void moult_use_onednn(bool use) { atomic_store(&switched_off, !use); }

/// OpenMP's thread count is a property of the calling thread.
static void use_one_thread(void) {
    static _Thread_local bool done;
    if (!done && library.omp_set_num_threads) library.omp_set_num_threads(1);
    done = true;
}

static bool float32_product(const struct moult_dense *x) {
    const bool a_across = x->a_depth != 1, b_across = x->b_column != 1;
    return library.sgemm(
        a_across ? 'T' : 'N', b_across ? 'T' : 'N', x->rows, x->columns, x->depth, 1, x->a,
        a_across ? x->a_depth : x->a_row, x->b, b_across ? x->b_column : x->b_depth, x->add ? 1 : 0, x->out,
        x->out_row) == 0;
}

// A thread keeps the products that it has used, by shape.

enum { kept_products = 64 };

struct product {
    struct moult_dense key;  // extents, strides and `add`; no addresses
    dnnl_handle primitive, source, weights, destination;
};

struct products {
    dnnl_handle stream;
    struct product kept[kept_products];
    int next;
};

static void free_product(struct product *product) {
    if (product->primitive) library.primitive_destroy(product->primitive);
    if (product->source) library.memory_destroy(product->source);
    if (product->weights) library.memory_destroy(product->weights);
    if (product->destination) library.memory_destroy(product->destination);
    memset(product, 0, sizeof *product);
}

static void free_products(void *memory) {
    struct products *products = memory;
    for (int i = 0; i < kept_products; i++) free_product(&products->kept[i]);
    if (products->stream) library.stream_destroy(products->stream);
    free(products);
}

static struct products *thread_products(void) {
    struct products *products = pthread_getspecific(library.products);
    if (products) return products;
    products = calloc(1, sizeof *products);
    if (!products) return NULL;
    if (library.stream_create(&products->stream, library.engine, 1) == 0
        && pthread_setspecific(library.products, products) == 0) return products;
    free_products(products);
    return NULL;
}

static bool describe(
    dnnl_descriptor *descriptor, int type, int64_t rows, int64_t columns, int64_t row, int64_t column
) {
    int64_t extents[] = {rows, columns}, strides[] = {row, column};
    return library.memory_desc_init_by_strides(descriptor, 2, extents, type, strides) == 0;
}

/// An attribute that adds to the destination; NULL when it cannot be made.
static dnnl_handle make_addition(void) {
    dnnl_handle attribute = NULL, operations = NULL;
    if (library.primitive_attr_create(&attribute) != 0) return NULL;
    bool made = library.post_ops_create(&operations) == 0;
    if (made) {
        made = library.post_ops_append_sum(operations, 1) == 0
            && library.primitive_attr_set_post_ops(attribute, operations) == 0;
        library.post_ops_destroy(operations);
    }
    if (made) return attribute;
    library.primitive_attr_destroy(attribute);
    return NULL;
}

static bool make_product(struct product *product, const struct moult_dense *key) {
    dnnl_descriptor source, weights, destination, operation;
    if (!describe(&source, dnnl_bf16, key->rows, key->depth, key->a_row, key->a_depth)) return false;
    if (!describe(&weights, dnnl_bf16, key->depth, key->columns, key->b_depth, key->b_column)) return false;
    if (!describe(&destination, dnnl_f32, key->rows, key->columns, key->out_row, 1)) return false;
    if (library.matmul_desc_init(&operation, &source, &weights, NULL, &destination) != 0) return false;
    dnnl_handle description = NULL, addition = key->add ? make_addition() : NULL;
    if (key->add && !addition) return false;
    bool made = library.primitive_desc_create(&description, &operation, addition, library.engine, NULL) == 0;
    if (addition) library.primitive_attr_destroy(addition);
    if (!made) return false;
    made = library.primitive_create(&product->primitive, description) == 0
        && library.memory_create(&product->source, &source, library.engine, NULL) == 0
        && library.memory_create(&product->weights, &weights, library.engine, NULL) == 0
        && library.memory_create(&product->destination, &destination, library.engine, NULL) == 0;
    library.primitive_desc_destroy(description);
    product->key = *key;
    if (!made) free_product(product);
    return made;
}

static bool same_key(const struct moult_dense *x, const struct moult_dense *y) {
    return x->rows == y->rows && x->columns == y->columns && x->depth == y->depth && x->a_row == y->a_row
        && x->a_depth == y->a_depth && x->b_depth == y->b_depth && x->b_column == y->b_column
        && x->out_row == y->out_row && x->add == y->add;
}

static struct product *find_product(struct products *products, const struct moult_dense *x) {
    for (int i = 0; i < kept_products; i++) {
        struct product *product = &products->kept[i];
        if (product->primitive && same_key(&product->key, x)) return product;
    }
    struct product *product = &products->kept[products->next];
    products->next = (products->next + 1) % kept_products;
    free_product(product);
    return make_product(product, x) ? product : NULL;
}

static bool bfloat16_product(const struct moult_dense *x) {
    struct products *products = thread_products();
    struct product *product = products ? find_product(products, x) : NULL;
    if (!product) return false;
    if (library.memory_set_data_handle(product->source, (void *)x->half) != 0
        || library.memory_set_data_handle(product->weights, (void *)x->b) != 0
        || library.memory_set_data_handle(product->destination, x->out) != 0) return false;
    dnnl_argument arguments[] = {
        {dnnl_source, product->source}, {dnnl_weights, product->weights}, {dnnl_destination, product->destination}};
    return library.primitive_execute(product->primitive, products->stream, 3, arguments) == 0
        && library.stream_wait(products->stream) == 0;
}

// With AMX, oneDNN 2.6 runs products of this depth on tiles that it has not set up, which the processor refuses.
enum { refused_depth = 63 };

/// Such a product: all but the last of the depth, and that added.
static bool divided_product(const struct moult_dense *x) {
    struct moult_dense most = *x, last = *x;
    most.depth = x->depth - 1;
    last.depth = 1;
    last.half += most.depth * x->a_depth;
    last.b = (const uint16_t *)x->b + most.depth * x->b_depth;
    last.add = true;
    // Both or neither: what is begun is not begun again elsewhere.
    struct products *products = thread_products();
    return products && find_product(products, &last) && bfloat16_product(&most) && bfloat16_product(&last);
}

bool onednn_product(const struct moult_dense *x) {
    const bool half = x->type == moult_bfloat16 && x->half;
    if (!in_use() || !(half || x->type == moult_float32)) return false;
    use_one_thread();
    if (!half) return float32_product(x);
    return x->depth == refused_depth ? divided_product(x) : bfloat16_product(x);
}
