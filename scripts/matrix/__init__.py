# SPDX-License-Identifier: Apache-2.0
"""One leg of the matrix: everything that has to hold on one Airflow and one Python; used by ``matrix.sh``."""
