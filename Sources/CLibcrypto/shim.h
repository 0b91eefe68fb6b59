/* SPDX-License-Identifier: Apache-2.0 */

/* The plain contexts are deprecated in OpenSSL 3, but only they can be stored and resumed. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
