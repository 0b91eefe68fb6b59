# SPDX-License-Identifier: Apache-2.0
"""The edge test: clients, disks, paths and deaths around an edge, and the bytes that must come out of it."""
