# SPDX-License-Identifier: BSD-3-Clause
# bench/plots/colours.gp - lines that differ also for eyes that see few colours (after Okabe and Ito).
set linetype 1 lc rgb '#d55e00' lw 3 pt 7
set linetype 2 lc rgb '#000000' lw 2 pt 5 dt 2
set linetype 3 lc rgb '#0072b2' lw 2 pt 9
set linetype 4 lc rgb '#009e73' lw 2 pt 11
set linetype 5 lc rgb '#cc79a7' lw 2 pt 13
set linetype 6 lc rgb '#56b4e9' lw 2 pt 4
set linetype 7 lc rgb '#e69f00' lw 2 pt 6
set linetype 8 lc rgb '#7f3c8d' lw 2 pt 8
set linetype 9 lc rgb '#888888' lw 2 pt 10
set linetype 10 lc rgb '#5d4037' lw 2 pt 12
set linetype 11 lc rgb '#9acd32' lw 2 pt 2
set linetype 12 lc rgb '#1a237e' lw 2 pt 3
set linetype cycle 12
