// What collectives need of a card beside its functions: a second stream for what goes on beside its work.
#pragma once
#include "CCUDA.h"

/// The card's second stream, for work that begins when what was given to the card before is done.
int moult_cuda_card_fork(struct moult_cuda_card* card, void** stream);

/// Work that is given to the card from now on begins when what is on the second stream is done.
int moult_cuda_card_join(struct moult_cuda_card* card);
