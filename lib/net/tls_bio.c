/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only bytes that OpenSSL sees and makes are those of the turn that runs.
 */
#include "lib/net/tls_impl.h"

enum { OUR_BIO = BIO_TYPE_SOURCE_SINK | 127 };

static int
bio_read(BIO *bio, char *out, int cap)
{
    struct bbi_tls *tls = BIO_get_data(bio);
    struct bbi_tls_io *io = tls->io;
    BIO_clear_retry_flags(bio);
    if (cap <= 0 || io == NULL || io->wire_in_bytes == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = bbi_min_u64((size_t)cap, io->wire_in_bytes);
    memcpy(out, io->wire_in, n);
    io->wire_in += n;
    io->wire_in_bytes -= n;
    tls->wire_taken += n;
    return (int)n;
}

static int
bio_write(BIO *bio, const char *data, int bytes)
{
    struct bbi_tls *tls = BIO_get_data(bio);
    struct bbi_tls_io *io = tls->io;
    size_t room = io != NULL ? io->wire_out_cap - io->wire_out_bytes : 0;
    BIO_clear_retry_flags(bio);
    if (bytes <= 0 || room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    size_t n = bbi_min_u64((size_t)bytes, room);
    memcpy(io->wire_out + io->wire_out_bytes, data, n);
    io->wire_out_bytes += n;
    return (int)n;
}

static long
bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static int
bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *
bbi_tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(OUR_BIO, "busbar");
    if (method != NULL
        && (BIO_meth_set_read(method, bio_read) != 1 || BIO_meth_set_write(method, bio_write) != 1
            || BIO_meth_set_ctrl(method, bio_ctrl) != 1
            || BIO_meth_set_create(method, bio_create) != 1)) {
        BIO_meth_free(method);
        method = NULL;
    }
    return method;
}
