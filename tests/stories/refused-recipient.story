# A mailbox does not exist: its sender is told, the other recipient has the mail.
sites    hq field
links    hf
seed     3

hq     answers 550 for nobody@hq.test
hq     mail from=boss@hq.test to=nobody@hq.test,clerk@hq.test "To two"
then   within 2m   hq has "To two"
then   within 2m   hq has report failed for nobody@hq.test
hq     answers 550 for ghost@hq.test
hq     mail from=boss@hq.test to=ghost@hq.test notify=never "Not to be reported"
never  within 2m   hq has report failed for ghost@hq.test
then   everything is delivered
hq     mail to=stranger@nowhere.test "No route"
then   within 2m   hq refused 550
