# SPDX-License-Identifier: BSD-3-Clause
# must(<command>...) - ends packaging when a command fails, with what it said.
function(must)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE rc ERROR_VARIABLE said OUTPUT_QUIET)
    if(rc)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}: ${rc}: ${said}")
    endif()
endfunction()
