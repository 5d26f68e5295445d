# SPDX-License-Identifier: BSD-3-Clause
# bench/plots/throughput.gp - messages a second by size, a line for each peer, bars from least to most.
# Set by bench/compare: kind (svg or png), out, colours (a file of line types), data, count (blocks of data, each with its name first), title.
if (kind eq 'svg') { set terminal svg size 900,560 dynamic enhanced background rgb 'white' font 'sans,12' } \
else { set terminal pngcairo size 900,560 enhanced font 'sans,11' }
set output out
set title title noenhanced
set logscale xy
set xlabel 'payload, bytes'
set ylabel 'messages a second'
set format y '%.0s%c'
set xtics (16, 64, 256, '1 Ki' 1024, '4 Ki' 4096, '16 Ki' 16384)
set xrange [12:22000]
set grid xtics ytics lt 1 lw 0.5 lc rgb '#dddddd'
load colours
set key outside right top noenhanced
plot for [i=0:count-1] data index i using 1:2:3:4 with yerrorlines lt i + 1 ps 0.8 title columnheader(1)
