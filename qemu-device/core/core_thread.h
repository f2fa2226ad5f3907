// SPDX-License-Identifier: GPL-2.0-or-later
//
// Threads of the core block all signals: those belong to the embedder.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace gmemu {

template <class Function>
std::thread start_core_thread(Function &&function)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread(std::forward<Function>(function));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

}  // namespace gmemu
