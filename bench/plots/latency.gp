# SPDX-License-Identifier: BSD-3-Clause
# bench/plots/latency.gp - percentile curves, in HdrHistogram's form: value over 1/(1 - percentile).
# Set by bench/compare: kind (svg or png), out, colours (a file of line types), data, count (blocks of data, each
# with its name first), title.
if (kind eq 'svg') { set terminal svg size 900,560 dynamic enhanced background rgb 'white' font 'sans,12' } \
else { set terminal pngcairo size 900,560 enhanced font 'sans,11' }
set output out
set title title noenhanced
set logscale xy
set xlabel 'percentile'
set ylabel 'latency'
set xtics ('50%%' 2, '90%%' 10, '99%%' 100, '99.9%%' 1000, '99.99%%' 10000, '99.999%%' 100000)
set ytics ('10 ns' 1e1, '100 ns' 1e2, '1 us' 1e3, '10 us' 1e4, '100 us' 1e5, '1 ms' 1e6, '10 ms' 1e7, '100 ms' 1e8, '1 s' 1e9)
set xrange [1:*]
set grid xtics ytics lt 1 lw 0.5 lc rgb '#dddddd'
load colours
set key outside below noenhanced
plot for [i=0:count-1] data index i using 1:2 with steps lt i + 1 title columnheader(1)
