// What the addon offers to JavaScript, by idea; ../addon.ts has the types.
#pragma once
#include <vector>

#include "call.h"
#include "engine.h"

extern const std::vector<Method> kSessionMethods;
extern const std::vector<Method> kSendMethods;
extern const std::vector<Method> kMemoryMethods;
extern const std::vector<Method> kReceiveMethods;
