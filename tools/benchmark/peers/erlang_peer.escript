#!/usr/bin/env escript
%%! -noinput
%% erlang_peer.escript PROGRAM: for each byte on standard input starts PROGRAM,
%% waits for its exit and writes the nanoseconds that took, as 8 bytes.
-mode(compile).

main([Program]) ->
    answer(open_port({fd, 0, 1}, [binary, stream]), Program).

answer(Streams, Program) ->
    receive
        {Streams, {data, _}} ->
            port_command(Streams, <<(time(Program)):64/native>>),
            answer(Streams, Program)
    end.

time(Program) ->
    Begun = erlang:monotonic_time(nanosecond),
    Port = open_port({spawn_executable, Program}, [exit_status]),
    receive
        {Port, {exit_status, 0}} -> erlang:monotonic_time(nanosecond) - Begun
    end.
