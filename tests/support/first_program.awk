# SPDX-License-Identifier: BSD-3-Clause
# A page's first C block that has a main: its text to DIR/program.c, the number of its line to DIR/line.
#   awk -f first_program.awk -v dir=DIR PAGE
/^```c$/ {
    code = 1
    text = ""
    start = FNR
    next
}
/^```/ && code {
    code = 0
    if (text ~ /main\(/) {
        print start > (dir "/line")
        printf "%s", text > (dir "/program.c")
        exit
    }
}
code { text = text $0 "\n" }
